"""Error rates of a score file, which may be any toolkit's, in any order and longer than memory.

sv metrics data/voxceleb1_test/trials exp/exu_net/scores/voxceleb1_test/cosine.scores
sv metrics --point 0.01,10,1 --utt2spk data/voxceleb1_test/utt2spk data/voxceleb1_test/trials cosine.scores

Columns are told apart by what is in them: two of utterances, enrolment first, one of scores and perhaps one of labels.
actDCF and Cllr take the scores for natural-log likelihood ratios.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sv.base.numbers import SEED
from sv.bin.common import fail_in_one_line
from sv.kaldi import read_trials, read_utt2spk
from sv.results.rows import speakers_of
from sv.scoring import OperatingPoint
from sv.scoring.evaluation import MissingScores, evaluate_file, interval_of_file

DEFAULT_POINTS = (OperatingPoint(0.01), OperatingPoint(0.05), OperatingPoint(0.01, 10.0, 1.0))


def operating_point(text: str) -> OperatingPoint:
    """`P_TARGET[,C_MISS,C_FA]` of the command line."""
    return OperatingPoint(*map(float, text.split(",")))


def print_metrics(found: dict[str, Any]) -> None:
    """Print for people."""
    print(f"trials     {found['num_target']} target, {found['num_nontarget']} nontarget")
    interval = "   [{:.2f}, {:.2f}]".format(*found["eer_interval"]) if "eer_interval" in found else ""
    print(f"EER        {found['eer']:.4f} %{interval}   (Kaldi's compute-eer: {found['eer_kaldi']:.5f} %)")
    for point, least in found["min_dcf"].items():
        print(f"minDCF     {least:.4f}   actDCF {found['act_dcf'][point]:.4f}   (p_target[,c_miss,c_fa] = {point})")
    print(f"minCllr    {found['min_cllr']:.4f}   Cllr   {found['cllr']:.4f}   bits")


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        prog="sv metrics", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
    parser.add_argument("scores", type=Path, help="any toolkit's lines of <enrolment-utt> <test-utt> <score>")
    parser.add_argument(
        "--point", type=operating_point, action="append", metavar="P_TARGET[,C_MISS,C_FA]",
        help="prior of a target and costs; may be repeated (0.01, 0.05 and 0.01,10,1)",
    )  # fmt: skip
    parser.add_argument("--utt2spk", type=Path, help="also the EER's 95 %% interval, by a bootstrap over speakers")
    parser.add_argument("--seed", type=SEED, default=0, help="of the bootstrap")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    try:
        found = evaluate_file(args.trials, args.scores, args.point or DEFAULT_POINTS)
    except MissingScores as error:
        for line, enrolment, test in error.missing:
            print(f"{args.trials}:{line}: no score of {enrolment} {test}", file=sys.stderr)
        raise
    if args.utt2spk:
        trials = read_trials(args.trials)
        speakers = speakers_of(trials, read_utt2spk(args.utt2spk))
        found["eer_interval"] = interval_of_file(trials, args.scores, speakers, args.seed)
    if args.json:
        print(json.dumps(found))
    else:
        print_metrics(found)


if __name__ == "__main__":
    main()
