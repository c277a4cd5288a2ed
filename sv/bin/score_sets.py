"""Score a system on a clean test set and its noisy conditions, and update its results.json (stage 7).

sv score_sets --model exp/exu_net data/voxceleb1_test data/voxceleb1_test-babble-snr5 ...

Writes <model>/scores/<set>/<back end>.scores for every back end that <model>/backend holds and those that need no training: what
`sv score` gives on the set's xvector.scp or segments.scp. Those that a cohort can normalise also get AS-norm (-asnorm).
"""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from sv.base.config import load_json_table
from sv.base.layout import ModelFolder
from sv.base.log import get_logger
from sv.base.numbers import COUNT, SEED
from sv.bin.common import command_parser, fail_in_one_line
from sv.data.challenge_rules import RULES, broken_rules
from sv.kaldi import read_trials, read_utt2spk, write_scores
from sv.kaldi.enrolment import read_enrolment, with_models
from sv.kaldi.scp import naming
from sv.results.rows import NONE, make_row, stamp_of, update_results
from sv.scoring.backends import paper_backend
from sv.scoring.sets import read_set, variants, warn_of_known_speakers


def parse(argv: list[str] | None) -> Namespace:
    """Parse the command line."""
    parser = command_parser("score_sets", __doc__)
    parser.add_argument("--model", type=Path, required=True, help="model folder with embeddings/ and backend/")
    parser.add_argument("--seed", type=SEED, default=0, help="of the run; also of the confidence intervals")
    parser.add_argument("--top-n", type=COUNT, default=300, help="of the cohort, for AS-norm; all if there are fewer")
    parser.add_argument(
        "--no-backend",
        action="store_true",
        help="the model has no backend/: score by the back ends that need no training",
    )
    parser.add_argument(
        "--rules",
        choices=sorted(RULES),
        help="benchmark whose rules for training are checked; the results say what breaks them",
    )
    parser.add_argument("--whole", action="store_true", help="drop rows of these test sets' other conditions")
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR", help="with trials and utt2spk")
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and score."""
    args = parse(argv)
    model = ModelFolder(args.model)
    paper = paper_backend(load_json_table(model.config).get("model", {}).get("type", ""))
    ways, rows, checked = variants(None if args.no_backend else model.backend, args.top_n, paper), [], {}
    if args.rules:
        checked = {"rules": args.rules, "broken_rules": broken_rules(args.rules, model.config)}
        for line in checked["broken_rules"] or ():
            get_logger("score").warning("%s: %s", args.model.name, line)
    for data_dir in args.data_dirs:
        trials, utt2spk = read_trials(data_dir / "trials"), read_utt2spk(data_dir / "utt2spk")
        models, stamp = read_enrolment(data_dir, utt2spk), stamp_of(args.model, data_dir, args.seed)
        speakers = with_models(utt2spk, models)
        warn_of_known_speakers(ways.values(), utt2spk.values(), data_dir.name)
        with naming(data_dir / "trials"):
            embeddings = read_set(model.embeddings(data_dir.name), models)
            for name, way in ways.items():
                scores = way.score_set(trials, embeddings)
                write_scores(model.scores(data_dir.name, name), trials, scores)
                own = replace(stamp, normalisation=way.normalisation or NONE)
                rows.append(make_row(args.model.name, data_dir.name, name, trials, scores, speakers, own) | checked)
    update_results(model.results, rows, args.whole)


if __name__ == "__main__":
    main()
