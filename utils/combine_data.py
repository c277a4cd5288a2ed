#!/usr/bin/env python3
"""Combine data directories into one; a table goes in if all of them have it, and what appears in two must be alike.

utils/combine_data.py data/both data/one data/other
"""

import argparse
import sys
from pathlib import Path

from sv.kaldi.data_dir import combine_data_dirs
from sv.kaldi.scp import DataDirError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    args = parser.parse_args()
    try:
        left_out = combine_data_dirs(args.out, args.data_dirs)
    except (DataDirError, OSError) as error:
        sys.exit(f"combine_data.py: {error}")
    for name in left_out:
        print(f"{name}: not in all of them, left out", file=sys.stderr)


if __name__ == "__main__":
    main()
