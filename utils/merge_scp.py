#!/usr/bin/env python3
"""Merge what the tasks of an array job wrote into one scp a set (and, on request, one ark), and check that nothing is missing.

    utils/merge_scp.py --num-jobs 4 feats exp/feats/log_mel-1a2b3c data/valid data/test
    utils/merge_scp.py --num-jobs 4 --single-ark xvector exp/exu_net/embeddings data/valid data/test

Reads <folder>/<set>/<name>.{1..n}.scp, writes <folder>/<set>/<name>.scp. With --single-ark the records are copied into
<name>.ark and the parts removed: what is left does not depend on the number of jobs. Where the tasks have written
computed.{1..n}.json, one computed.json takes their place.
"""

import argparse
import sys
from pathlib import Path

from sv.base.files import atomic_write, write_text
from sv.base.numbers import COUNT
from sv.kaldi.ark import record_extent
from sv.kaldi.data_dir import quarantined
from sv.kaldi.scp import DataDirError, byte_order, read_scp, read_utt2spk, write_table


def merged_tables(parts: list[Path]) -> dict[str, str]:
    """All entries of the scps in byte order of their keys; raises DataDirError if a key appears in two."""
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


def merge_computed(folder: Path, num_jobs: int) -> None:
    """Make one computed.json of the tasks' own, if they left any; raises DataDirError unless all say the same."""
    parts = [folder / f"computed.{job}.json" for job in range(1, num_jobs + 1)]
    if not any(part.exists() for part in parts):
        return
    first = parts[0].read_text(encoding="utf-8")
    for part in parts[1:]:
        if (text := part.read_text(encoding="utf-8")) != first:
            raise DataDirError(
                f"{part}: {' '.join(text.split())}, where {parts[0].name} has {' '.join(first.split())}; choose a --precision "
                "that all machines have"
            )
    write_text(folder / "computed.json", first)
    for part in parts:
        part.unlink()


def merge_set(data_dir: Path, folder: Path, name: str, num_jobs: int, single_ark: bool) -> None:
    """Merge the parts of one set."""
    out = (folder / data_dir.name / f"{name}.scp").absolute()
    parts = [out.with_name(f"{name}.{job}.scp") for job in range(1, num_jobs + 1)]
    table = merged_tables(parts)
    check_complete(set(table), data_dir)
    if single_ark:
        table = copy_records(table, out.with_suffix(".ark"))
    write_table(out, table)
    if single_ark:
        for part in parts:
            part.unlink()
            part.with_suffix(".ark").unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-jobs", type=COUNT, required=True, help="tasks of the array job")
    parser.add_argument("--single-ark", action="store_true", help="copy the records into one ark and remove the parts")
    parser.add_argument("name", help="feats, xvector, ...")
    parser.add_argument("folder", type=Path, help="of the sets' parts")
    parser.add_argument(
        "data_dirs", type=Path, nargs="+", metavar="DATA_DIR", help="whose utterances must all be there"
    )
    args = parser.parse_args()
    try:
        for data_dir in args.data_dirs:
            merge_set(data_dir, args.folder, args.name, args.num_jobs, args.single_ark)
            merge_computed(args.folder / data_dir.name, args.num_jobs)
    except (DataDirError, OSError) as error:
        sys.exit(f"merge_scp.py: {error}")


if __name__ == "__main__":
    main()
