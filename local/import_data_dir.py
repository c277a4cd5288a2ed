#!/usr/bin/env python3
"""Make a Kaldi data directory from elsewhere, with or without segments, one that every stage reads.

    local/import_data_dir.py --nj 8 /kaldi/egs/mine/data/train data/train
    local/import_data_dir.py --allow-pipes /kaldi/egs/mine/data/test data/test    # wav.scp holds commands: run them

Recordings are decoded and checked; those that are not mono at 16 kHz are converted into <out>/../converted. Bad ones go to
quarantine.tsv, up to --max-bad of all. Segments stay segments, utt2dur and lhotse manifests are made, trials come along.
"""

import argparse
import sys
from pathlib import Path

from sv.base.numbers import COUNT, SHARE
from sv.data.importing import import_data_dir
from sv.kaldi.scp import DataDirError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nj", type=COUNT, default=1, help="processes")
    parser.add_argument("--max-bad", type=SHARE, default=0.01, help="share of bad recordings to tolerate (%(default)s)")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands of wav.scp in a shell")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    try:
        count = import_data_dir(args.source, args.out, nj=args.nj, max_bad=args.max_bad, allow_pipes=args.allow_pipes)
    except (DataDirError, OSError) as error:
        sys.exit(f"import_data_dir.py: {error}")
    print(f"{args.out}: {count} utterances")


if __name__ == "__main__":
    main()
