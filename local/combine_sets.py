#!/usr/bin/env python3
"""Combine data directories into one that every stage reads: utils/combine_data.py, and lhotse manifests.

local/combine_sets.py data/voxceleb1+2_train data/voxceleb1_train data/voxceleb2_dev
"""

import argparse
import sys
from pathlib import Path

from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import combine_data_dirs
from sv.kaldi.scp import DataDirError


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and combine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    args = parser.parse_args(argv)
    try:
        left_out = combine_data_dirs(args.out, args.data_dirs)
        write_manifests(args.out)
    except (DataDirError, OSError) as error:
        sys.exit(f"combine_sets.py: {error}")
    for name in left_out:
        print(f"{name}: not in all of them, left out", file=sys.stderr)


if __name__ == "__main__":
    main()
