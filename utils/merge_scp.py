#!/usr/bin/env python3
"""Merge what the tasks of an array job wrote into one scp (and, on request, one ark), and check that nothing is missing.

utils/merge_scp.py --expect data/test exp/feats/test/feats.scp exp/feats/test/feats.{1,2}.scp
utils/merge_scp.py --expect data/test --single-ark xvector.ark xvector.scp xvector.{1,2}.scp
"""

import argparse
import sys
from pathlib import Path

from sv.files import atomic_write
from sv.kaldi.ark import record_extent
from sv.kaldi.data_dir import quarantined
from sv.kaldi.scp import DataDirError, byte_order, read_scp, read_utt2spk, write_table


def merged_tables(parts: list[Path]) -> dict[str, str]:
    """All entries of the scps in byte order of their keys; raises DataDirError if a key stands in two."""
    merged: dict[str, str] = {}
    for part in parts:
        for key, value in read_scp(part).items():
            if key in merged:
                raise DataDirError(f"{part}: key {key!r} is in another part too")
            merged[key] = value
    return {key: merged[key] for key in sorted(merged, key=byte_order)}


def check_complete(keys: set[str], data_dir: Path) -> None:
    """Raise DataDirError unless the keys are the data directory's utterances less its quarantine."""
    expected = read_utt2spk(data_dir / "utt2spk").keys() - quarantined(data_dir)
    if missing := sorted(expected - keys):
        raise DataDirError(
            f"{data_dir}: {len(missing)} of {len(expected)} utterances have no entry, e.g. {missing[:3]}"
        )
    if extra := sorted(keys - expected):
        raise DataDirError(f"{data_dir}: {len(extra)} entries are not its utterances, e.g. {extra[:3]}")


def copy_records(table: dict[str, str], ark: Path) -> dict[str, str]:
    """Copy the records byte by byte into one ark; return the table that points into it."""
    offsets = {}
    with atomic_write(ark, "wb") as out:
        for key, rxspecifier in table.items():
            offset, num_bytes = record_extent(rxspecifier)
            with Path(rxspecifier.rpartition(":")[0]).open("rb") as source:
                source.seek(offset)
                out.write(key.encode() + b" ")
                offsets[key] = f"{ark}:{out.tell()}"
                out.write(source.read(num_bytes))
    return offsets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--expect", type=Path, required=True, metavar="DATA_DIR", help="whose utterances must be there")
    parser.add_argument(
        "--single-ark", type=Path, metavar="ARK", help="copy the records into this ark and remove the parts"
    )
    parser.add_argument("out", type=Path, help="scp to write")
    parser.add_argument("parts", type=Path, nargs="+", help="scps of the tasks")
    args = parser.parse_args()
    try:
        table = merged_tables(args.parts)
        check_complete(set(table), args.expect)
        if args.single_ark:
            table = copy_records(table, args.single_ark.absolute())
        write_table(args.out, table)
        if args.single_ark:
            for part in args.parts:
                part.unlink()
                part.with_suffix(".ark").unlink(missing_ok=True)
    except (DataDirError, OSError) as error:
        sys.exit(f"merge_scp.py: {error}")


if __name__ == "__main__":
    main()
