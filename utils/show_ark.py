#!/usr/bin/env python3
"""Show what is in Kaldi's scp and ark files: key, shape, mean, standard deviation, NaN count and first values of each record.

utils/show_ark.py exp/feats/log_mel-1a2b3c/voxceleb1_test/feats.scp | head
utils/show_ark.py --verify exp/exu_net/embeddings/voxceleb1_test/xvector.scp
utils/show_ark.py --repair OUT damaged.ark          # writes OUT.ark and OUT.scp with every whole record
utils/show_ark.py --diff other/xvector.scp exp/exu_net/embeddings/voxceleb1_test/xvector.scp
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sv.base.files import atomic_write
from sv.kaldi.ark import iter_matrices, iter_records, read_any, read_key, read_object
from sv.kaldi.record import write_binary
from sv.kaldi.scp import DataDirError, read_scp


def describe(key: str, array: np.ndarray) -> str:
    """One line on one record."""
    shape, num_nan = "x".join(map(str, array.shape)), int(np.isnan(array).sum())
    if not array.size:
        return f"{key} {shape} empty"
    first = " ".join(f"{value:.4g}" for value in array.ravel()[:4])
    return f"{key} {shape} mean {array.mean():.5g} std {array.std():.5g} nan {num_nan} [ {first} ...]"


def records(table: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Records of an scp, or of an ark as the name ends."""
    if table.suffix != ".ark":
        yield from iter_matrices(table)
        return
    with table.open("rb") as stream:
        yield from iter_records(stream, str(table))


def verify(table: Path) -> Iterator[str]:
    """Find faults of each entry of an scp, or the place where an ark breaks off: every record is read to its end."""
    if table.suffix == ".ark":
        try:
            for _ in records(table):
                pass
        except DataDirError as error:
            yield str(error)
        return
    for key, rxspecifier in read_scp(table).items():
        try:
            read_any(rxspecifier)
            check_key_before(key, rxspecifier)
        except (DataDirError, OSError) as error:
            yield f"{table}: {key}: {error}"


def check_key_before(key: str, rxspecifier: str) -> None:
    """Raise DataDirError if the ark has another key before the record: the scp belongs to another ark."""
    match = re.fullmatch(r"(.+):(\d+)(?:\[.*\])?", rxspecifier)
    if not match or int(match[2]) == 0:
        return
    wanted = f"{key} ".encode()
    with Path(match[1]).open("rb") as file:
        file.seek(max(0, int(match[2]) - len(wanted)))
        if file.read(len(wanted)) != wanted:
            raise DataDirError(f"{rxspecifier}: the ark has another key there; the scp is not this ark's")


RECORD = re.compile(rb"([^\s\x00-\x1f]+) \x00B(?:FM|DM|FV|DV|CM|CM2|CM3) ")


def whole_records(ark: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every whole record of a damaged ark; behind damage, the search goes on for the next that looks like one.

    There, the end of lost values cannot be told from the beginning of a key: the ark's scp, if there is one beside it,
    says which keys there are; without it, that one record is left out, as a wrong key is worse than none.
    """
    scp = ark.with_suffix(".scp")
    known = set(read_scp(scp)) if scp.exists() else set()
    size, at, key = ark.stat().st_size, 0, None
    with ark.open("rb") as file:
        while at < size:
            file.seek(at)
            try:
                key = read_key(file, str(ark)) if key is None else key
                array = read_object(file, f"{ark}: {key}")
            except DataDirError as error:
                value, text = next_record(ark, at + 1)
                endings = [text[start:] for start in range(len(text)) if text[start:].decode(errors="replace") in known]
                key = endings[0].decode() if endings else ""
                print(f"{error}; left out bytes {at} to {value - len(key)}", file=sys.stderr)
                at = value
                continue
            if key:
                yield key, array
            else:
                print(f"{ark}: left out the record at {at}: after damage its key is not certain", file=sys.stderr)
            at, key = file.tell(), None


def next_record(ark: Path, start: int) -> tuple[int, bytes]:
    """Find the next binary value, and the text before it, which ends with its key; the file's end if there is none."""
    data = np.memmap(ark, np.uint8, "r")
    for at in range(start, len(data), 1 << 24):
        if match := RECORD.search(data[at : at + (1 << 24) + 4096].tobytes()):
            return at + match.end(1) + 1, match[1]
    return len(data), b""


def repair(ark: Path, out: Path) -> tuple[int, int]:
    """Write OUT.ark and OUT.scp with the whole records, in byte order; returns how many, and how many keys came twice."""
    kept: dict[str, np.ndarray] = {}
    twice = 0
    for key, array in whole_records(ark):
        twice += key in kept
        kept.setdefault(key, array)
    ark_out, offsets = out.absolute().with_suffix(".ark"), {}
    with atomic_write(ark_out, "wb") as file:
        for key in sorted(kept, key=str.encode):
            file.write(key.encode() + b" ")
            offsets[key] = file.tell()
            write_binary(file, kept[key])
    with atomic_write(ark_out.with_suffix(".scp")) as file:
        file.writelines(f"{key} {ark_out}:{offset}\n" for key, offset in offsets.items())
    return len(kept), twice


def differences(one: Path, other: Path) -> Iterator[str]:
    """One line for each key in which two tables differ."""
    ours, theirs = dict(records(one)), dict(records(other))
    for key in sorted(ours.keys() | theirs.keys(), key=str.encode):
        if key not in ours or key not in theirs:
            yield f"{key} only in {one if key in ours else other}"
        elif ours[key].shape != theirs[key].shape:
            yield f"{key} {'x'.join(map(str, ours[key].shape))} against {'x'.join(map(str, theirs[key].shape))}"
        elif not np.array_equal(ours[key], theirs[key], equal_nan=True):
            yield f"{key} largest difference {np.nanmax(np.abs(ours[key].astype(float) - theirs[key])):.5g}"


def fail_with(problems: Iterator[str], what: str) -> None:
    """Print each; exit with 1 if there are any."""
    found = list(problems)
    if found:
        print(*found, sep="\n", file=sys.stderr)
        sys.exit(f"{len(found)} {what}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--verify", action="store_true", help="read every record to its end; exit 1 if one is broken")
    actions.add_argument(
        "--repair", type=Path, metavar="OUT", help="write the whole records of an ark to OUT.ark, OUT.scp"
    )
    actions.add_argument(
        "--diff", type=Path, metavar="OTHER", help="compare with another scp or ark; exit 1 if they differ"
    )
    parser.add_argument("table", type=Path, help="scp, or ark")
    args = parser.parse_args()
    try:
        if args.verify:
            fail_with(verify(args.table), "broken entries")
        elif args.repair:
            kept, twice = repair(args.table, args.repair)
            print(f"{kept} records kept" + (f", {twice} that came again left out" if twice else ""), file=sys.stderr)
        elif args.diff:
            fail_with(differences(args.table, args.diff), "keys differ")
        else:
            for key, array in records(args.table):
                print(describe(key, array))
    except BrokenPipeError:  # `show_ark.py ... | head`: what Python flushes at its end must not complain again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (DataDirError, OSError, ValueError) as error:
        sys.exit(f"show_ark.py: {error}")


if __name__ == "__main__":
    main()
