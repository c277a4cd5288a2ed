#!/usr/bin/env python3
"""Make a data directory of some utterances of another.

utils/subset_data_dir.py --first 100 data/train data/train_100
utils/subset_data_dir.py --num-utts 1000 --seed 1 data/train data/train_1k      # drawn, the same for the same seed
utils/subset_data_dir.py --utt-list utts data/train data/mine                   # first word of each line
utils/subset_data_dir.py --spk-list speakers data/train data/mine
"""

import argparse
import sys
from pathlib import Path

from sv.base.numbers import SEED
from sv.base.seeding import generator
from sv.kaldi.data_dir import cut_data_dir
from sv.kaldi.scp import DataDirError, byte_order, read_utt2spk, text_rows


def first_words(path: Path) -> list[str]:
    """First word of each line that has one."""
    return [line.split()[0] for _, line in text_rows(path)]


def choose(args: argparse.Namespace, utt2spk: dict[str, str]) -> list[str]:
    """The utterances that the options ask for; raises DataDirError for ones that are not there, or too few."""
    ordered = sorted(utt2spk, key=byte_order)
    wanted = args.first or args.num_utts
    if wanted:
        if wanted > len(ordered):
            raise DataDirError(f"{args.data_dir}: {wanted} utterances wanted, there are {len(ordered)}")
        return (
            ordered[:wanted]
            if args.first
            else list(generator("subset", args.seed).choice(ordered, wanted, replace=False))
        )
    names = first_words(args.utt_list or args.spk_list)
    there = utt2spk.keys() if args.utt_list else set(utt2spk.values())
    if missing := [name for name in names if name not in there]:
        raise DataDirError(
            f"{args.utt_list or args.spk_list}: {len(missing)} are not in {args.data_dir}, e.g. {missing[:3]}"
        )
    return names if args.utt_list else [utt for utt in ordered if utt2spk[utt] in set(names)]


def positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--first", type=positive, metavar="N", help="the first N in byte order")
    how.add_argument("--num-utts", type=positive, metavar="N", help="N drawn at random")
    how.add_argument("--utt-list", type=Path, metavar="FILE")
    how.add_argument("--spk-list", type=Path, metavar="FILE")
    parser.add_argument("--seed", type=SEED, default=0, help="of --num-utts")
    parser.add_argument("data_dir", type=Path, metavar="DATA_DIR")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    args = parser.parse_args()
    try:
        cut_data_dir(args.data_dir, args.out, choose(args, read_utt2spk(args.data_dir / "utt2spk")))
    except (DataDirError, OSError) as error:
        sys.exit(f"subset_data_dir.py: {error}")


if __name__ == "__main__":
    main()
