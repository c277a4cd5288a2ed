#!/usr/bin/env python3
"""Set speakers of a data directory apart for testing: the last ones, or drawn ones.

    local/split_test.py --num-test 10 data/vctk data/vctk_dev data/vctk_test
    local/split_test.py --num-test 0.2 --draw 0 data/own data/own_dev data/own_test

The last ones by the order of LC_ALL=C, whatever the file system. A speaker's place in the draw is a hash of (seed, speaker):
another speaker in the corpus moves no one else. Speakers with a single utterance are not drawn: no target trial could be made
of them.
"""

import argparse
import math
import sys
from pathlib import Path

from sv.base.numbers import SEED, count_or_share
from sv.base.seeding import derive_seed
from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import subset_data_dir
from sv.kaldi.scp import DataDirError, byte_order, invert, read_utt2spk


def last_speakers(speakers: set[str], num_test: int) -> set[str]:
    """The last `num_test` speakers; 0: all but nine of each whole ten, as the published code splits."""
    count = num_test or len(speakers) - len(speakers) // 10 * 9
    if not 2 <= count < len(speakers):
        raise DataDirError(f"cannot set {count} of {len(speakers)} speakers apart for testing; give another --num-test")
    return set(sorted(speakers, key=byte_order)[-count:])


def drawn_speakers(utt2spk: dict[str, str], number: float, seed: int) -> set[str]:
    """That many speakers, or that share of them, two at least, of those with two utterances or more."""
    spk2utt = invert(utt2spk)
    candidates = [speaker for speaker, utts in spk2utt.items() if len(utts) > 1]
    count = max(2, math.ceil(number * len(spk2utt))) if number < 1 else int(number)
    if not 2 <= count <= len(candidates) or count == len(spk2utt):
        raise DataDirError(
            f"cannot set {count} of {len(spk2utt)} speakers apart for testing, of whom {len(candidates)} have two utterances "
            "or more; give another --num-test"
        )
    return set(sorted(candidates, key=lambda speaker: derive_seed(seed, "test", speaker))[:count])


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument(
        "--num-test", type=count_or_share, default=0, help="speakers, or with --draw a share of them; "
        "0: all but nine of each whole ten, with --draw a fifth",
    )  # fmt: skip
    parser.add_argument("--draw", type=SEED, metavar="SEED", help="draw them")
    parser.add_argument("source", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("test", type=Path)
    args = parser.parse_args(argv)
    if args.draw is None and args.num_test % 1:
        parser.error("--num-test: a share goes with --draw")
    try:
        utt2spk = read_utt2spk(args.source / "utt2spk")
        if args.draw is None:
            chosen = last_speakers(set(utt2spk.values()), int(args.num_test))
        else:
            chosen = drawn_speakers(utt2spk, args.num_test or 0.2, args.draw)
        for out, is_test in ((args.dev, False), (args.test, True)):
            subset_data_dir(args.source, out, [utt for utt, spk in utt2spk.items() if (spk in chosen) == is_test])
            write_manifests(out)
    except (DataDirError, OSError) as error:
        sys.exit(f"split_test.py: {error}")
    names = sorted(chosen, key=byte_order)
    print(f"{len(chosen)} speakers for testing: {', '.join(names[:50])}{', ...' * (len(names) > 50)}")


if __name__ == "__main__":
    main()
