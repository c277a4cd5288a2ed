#!/usr/bin/env python3
"""Split a data directory into DATA_DIR/splitN/1 ... N, data directories of about as many utterances each.

utils/split_data.py data/train 8

The parts are contiguous slices in byte order, as jobs take them; a speaker may stand in two of them.
"""

import argparse
import sys
from pathlib import Path

from sv.base.numbers import COUNT
from sv.kaldi.data_dir import cut_data_dir, split_keys
from sv.kaldi.scp import DataDirError, read_utt2spk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("data_dir", type=Path, metavar="DATA_DIR")
    parser.add_argument("num_parts", type=COUNT, metavar="N")
    args = parser.parse_args()
    try:
        utts = list(read_utt2spk(args.data_dir / "utt2spk"))
        if not 1 <= args.num_parts <= len(utts):
            raise DataDirError(f"{args.data_dir}: {len(utts)} utterances cannot be split into {args.num_parts} parts")
        for part in range(1, args.num_parts + 1):
            out = args.data_dir / f"split{args.num_parts}" / str(part)
            cut_data_dir(args.data_dir, out, split_keys(utts, args.num_parts, part))
    except (DataDirError, OSError) as error:
        sys.exit(f"split_data.py: {error}")


if __name__ == "__main__":
    main()
