#!/usr/bin/env python3
"""Read all recordings of data directories again, and compare them with what stage 0 read.

    local/verify_audio.py --nj 8 data

Exit code 1 if a recording has other bytes, or is gone: stage 0 has to be made anew.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sv.base.files import sha256_of
from sv.base.numbers import COUNT
from sv.kaldi.scp import DataDirError, read_table

BATCH = 10_000  # files


def recorded(data: Path) -> dict[str, str]:
    """SHA-256 by file, of all data directories in a folder."""
    found = {}
    for table in sorted(data.glob("*/reco2digest")):
        for entry in read_table(table).values():
            digest, _, path = entry.partition(" ")
            found[path] = digest
    return found


def now(path: str) -> str:
    """SHA-256 of a file; why there is none if it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        return str(error.strerror)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--nj", type=COUNT, default=1, help="files that are read at once")
    parser.add_argument("data", type=Path, help="folder of data directories")
    args = parser.parse_args(argv)
    try:
        files = recorded(args.data)
    except (DataDirError, OSError) as error:
        sys.exit(f"verify_audio.py: {error}")
    changed, paths = [], list(files)
    with ThreadPoolExecutor(args.nj) as pool:
        for first in range(0, len(paths), BATCH):  # of a million files, not all wait at once
            batch = paths[first : first + BATCH]
            changed += [path for path, digest in zip(batch, pool.map(now, batch)) if digest != files[path]]
    if changed:
        sys.exit(
            f"verify_audio.py: {len(changed)} of {len(files)} recordings are not what stage 0 read, e.g. {changed[0]}"
        )
    print(f"verify_audio.py: {len(files)} recordings are what stage 0 read", file=sys.stderr)


if __name__ == "__main__":
    main()
