"""Error rates of a score file, which may be any toolkit's, in any order and longer than memory.

sv metrics data/voxceleb1_test/trials exp/exu_net/scores/voxceleb1_test/cosine.scores
sv metrics --point 0.01,10,1 --utt2spk data/voxceleb1_test/utt2spk data/voxceleb1_test/trials cosine.scores

Columns are told apart by what is in them: two of utterances, enrolment first, one of scores and perhaps one of labels.
actDCF and Cllr take the scores for natural-log likelihood ratios.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sv.base.seeding import generator
from sv.bin.common import fail_in_one_line
from sv.kaldi import DataDirError, read_trials, read_utt2spk, scores_of_trials
from sv.results.rows import speakers_of
from sv.scoring import OperatingPoint, ScoreRuns, eer_interval, join_scores, summarise

DEFAULT_POINTS = (OperatingPoint(0.01), OperatingPoint(0.05), OperatingPoint(0.01, 10.0, 1.0))


def operating_point(text: str) -> OperatingPoint:
    """`P_TARGET[,C_MISS,C_FA]` of the command line."""
    return OperatingPoint(*map(float, text.split(",")))


def metrics_of(trials: Path, scores: Path, points: list[OperatingPoint]) -> dict[str, Any]:
    """What is printed; EERs in percent. Trials without a score are named on stderr and an error."""
    with tempfile.TemporaryDirectory(prefix="sv-metrics-") as folder:
        runs = ScoreRuns(Path(folder))
        report = join_scores(trials, scores, Path(folder), runs.add)
        for line, enrolment, test in report.missing:
            print(f"{trials}:{line}: no score of {enrolment} {test}", file=sys.stderr)
        if report.missing:
            raise DataDirError(f"{scores}: {len(report.missing)} of {report.num_trials} trials have no score")
        try:
            summary = summarise(runs.blocks(), runs.num_target, runs.num_nontarget, points)
        except ValueError as error:
            raise ValueError(f"{trials}: {error}") from error
    by_point = {name: dict(zip(map(str, points), getattr(summary, name))) for name in ("min_dcf", "act_dcf")}
    percent = {"eer": 100 * summary.eer, "eer_kaldi": 100 * summary.eer_kaldi}
    return asdict(summary) | percent | by_point | {"num_foreign": report.num_foreign}


def interval_of(trials: Path, scores: Path, utt2spk: Path, seed: int) -> list[float]:
    """95 % interval of the EER in percent; this one needs the trials in memory."""
    read = read_trials(trials)
    speakers = speakers_of(read, read_utt2spk(utt2spk))
    low_high = eer_interval(scores_of_trials(scores, read), read.is_target, speakers, generator(seed, "eer-interval"))
    return [100 * bound for bound in low_high]


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
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    found = metrics_of(args.trials, args.scores, args.point or list(DEFAULT_POINTS))
    if args.utt2spk:
        found["eer_interval"] = interval_of(args.trials, args.scores, args.utt2spk, args.seed)
    if args.json:
        print(json.dumps(found))
    else:
        print_metrics(found)


if __name__ == "__main__":
    main()
