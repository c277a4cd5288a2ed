"""Error rates of a score file, which may be any toolkit's, in any order.

sv metrics data/voxceleb1_test/trials exp/exu_net/scores/voxceleb1_test/cosine.scores
"""

import argparse
import json
from pathlib import Path

import numpy as np

from sv.bin.common import fail_in_one_line
from sv.kaldi import read_trials, scores_of_trials
from sv.scoring import compute_eer, compute_eer_kaldi, compute_min_dcf

PRIORS = (0.01, 0.05)


def metrics_of(scores: np.ndarray, is_target: np.ndarray) -> dict:
    """What is printed; EERs in percent."""
    return {
        "num_target": int(is_target.sum()),
        "num_nontarget": int((~is_target).sum()),
        "eer": 100 * compute_eer(scores, is_target),
        "eer_kaldi": 100 * compute_eer_kaldi(scores, is_target),
        "min_dcf": {f"{prior:g}": compute_min_dcf(scores, is_target, prior) for prior in PRIORS},
        "min_dcf_c10": compute_min_dcf(scores, is_target, 0.01, 10.0, 1.0),
    }


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        prog="sv metrics", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
    parser.add_argument("scores", type=Path, help="lines of <enrolment-utt> <test-utt> <score>")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    trials = read_trials(args.trials)
    scores = scores_of_trials(args.scores, trials)
    try:
        metrics = metrics_of(scores, trials.is_target)
    except ValueError as error:
        raise ValueError(f"{args.trials}: {error}") from error
    if args.json:
        print(json.dumps(metrics))
        return
    print(f"trials       {metrics['num_target']} target, {metrics['num_nontarget']} nontarget")
    print(f"EER          {metrics['eer']:.4f} %   (Kaldi's compute-eer: {metrics['eer_kaldi']:.5f} %)")
    for prior, value in metrics["min_dcf"].items():
        print(f"minDCF       {value:.4f}   (p_target {prior}, c_miss 1, c_fa 1)")
    print(f"minDCF(c10)  {metrics['min_dcf_c10']:.4f}   (p_target 0.01, c_miss 10, c_fa 1)")


if __name__ == "__main__":
    main()
