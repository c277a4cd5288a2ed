"""A threshold from your own trials, for a rate of false alarms, with what it is worth.

sv threshold trials cosine.scores --max-fa 0.01 --utt2spk data/mine/utt2spk
sv threshold trials cosine.scores --model campplus --out mine.json     then: sv verify --threshold mine.json

The lowest threshold at which no more than that share of the nontarget trials is accepted, and 95 % intervals by a bootstrap
over speakers: what it would be with other speakers, and what these may see. Refused where the trials cannot show such a
rate. Without --utt2spk, utterances that target trials join are taken for one speaker's.
"""

import argparse
import json
from pathlib import Path

from sv.base.config import to_dict
from sv.base.numbers import PROBABILITY, SEED
from sv.base.seeding import generator
from sv.bin.common import command_parser, fail_in_one_line
from sv.kaldi import read_trials, read_utt2spk, scores_of_trials
from sv.results.rows import speakers_of
from sv.scoring.threshold import Threshold, find_threshold, speakers_by_targets


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("threshold", __doc__)
    parser.add_argument("trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
    parser.add_argument("scores", type=Path, help="lines of <enrolment-utt> <test-utt> <score>")
    parser.add_argument("--max-fa", type=PROBABILITY, default=0.01, help="rate of false alarms allowed (%(default)s)")
    parser.add_argument("--utt2spk", type=Path, help="speakers of the utterances")
    parser.add_argument("--model", help="the model whose scores these are; its hash goes into --out")
    parser.add_argument("--out", type=Path, metavar="OUT.json", help="file for sv verify and sv identify")
    parser.add_argument("--seed", type=SEED, default=0, help="of the bootstrap")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    if args.out and not args.model:
        parser.error("--out needs --model: a threshold holds for one model")
    return args


def print_threshold(found: Threshold) -> None:
    """Print for people."""
    print(
        f"threshold  {found.threshold:.4f}   [{found.low:.4f}, {found.high:.4f}]   (a score from here on is accepted)"
    )
    for name, rate, bounds in (
        ("false alarms", found.p_fa, found.p_fa_interval), ("misses", found.p_miss, found.p_miss_interval),
    ):  # fmt: skip
        print(f"{name:12s} {100 * rate:.2f} %   [{100 * bounds[0]:.2f}, {100 * bounds[1]:.2f}]")
    print(f"of {found.num_target} target, {found.num_nontarget} nontarget trials, {found.num_speakers} speakers")


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print."""
    args = parse(argv)
    trials = read_trials(args.trials)
    scores = scores_of_trials(args.scores, trials)
    speakers = speakers_of(trials, read_utt2spk(args.utt2spk)) if args.utt2spk else speakers_by_targets(trials)
    found = find_threshold(scores, trials.is_target, speakers, args.max_fa, generator(args.seed, "threshold"))
    if args.out:
        from sv.embed.opening import find_source  # reads torch, which the rest does without
        from sv.embed.verification import write_threshold

        write_threshold(args.out, found, find_source(args.model), args.trials, args.scores)
    print(json.dumps(to_dict(found))) if args.json else print_threshold(found)


if __name__ == "__main__":
    main()
