"""RawNet1's b-vector back end alone: a network on pairs of embeddings, in a file of any name.

sv b_vector train xvector.scp data/train/utt2spk data/valid/trials valid/xvector.scp exp/rawnet1/backend/b_vector.npz
sv b_vector score exp/rawnet1/backend/b_vector.npz data/test/trials xvector.scp xvector.scp b_vector.scores

With the other back ends: `sv backend --kinds plda,b_vector` and `sv score b_vector`.
"""

import argparse
import dataclasses
from pathlib import Path

from sv.base.numbers import SEED
from sv.bin.common import fail_in_one_line
from sv.kaldi import read_trials, read_vectors, write_scores
from sv.kaldi.scp import naming
from sv.scoring.backends import BVectorBackEnd
from sv.scoring.backends.training import read_training

OPTIONS = dataclasses.fields(BVectorBackEnd.Config)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="sv b_vector",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="on the embeddings of a training set", allow_abbrev=False)
    training.add_argument("xvector_scp", type=Path, help="Kaldi scp of (dim,) vectors")
    training.add_argument("utt2spk", type=Path)
    training.add_argument("valid_trials", type=Path, help="of held-out speakers; the epoch of their lowest EER is kept")
    training.add_argument("valid_scp", type=Path)
    training.add_argument("out", type=Path, help="network to write, .npz")
    training.add_argument("--seed", type=SEED, default=0)
    for option in OPTIONS:
        name = f"--{option.name.replace('_', '-')}"
        training.add_argument(name, type=type(option.default), default=option.default, help="%(default)s")
    scoring = commands.add_parser("score", help="log odds of target", allow_abbrev=False)
    scoring.add_argument("network", type=Path)
    scoring.add_argument("trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
    scoring.add_argument("enrol_scp", type=Path)
    scoring.add_argument("test_scp", type=Path, help="may be the same")
    scoring.add_argument("out", type=Path, help="output, lines of <enrolment-utt> <test-utt> <score>")
    return parser.parse_args(argv)


def train(args: argparse.Namespace) -> None:
    """Train on the utterances of the scp."""
    config = BVectorBackEnd.Config(**{option.name: getattr(args, option.name) for option in OPTIONS})
    held_out = {"valid_trials": args.valid_trials, "valid_scp": args.valid_scp}
    training = read_training(args.xvector_scp, args.utt2spk, **held_out)
    with naming(args.xvector_scp):
        BVectorBackEnd.fit(training, config, args.seed).write(args.out)


def score(args: argparse.Namespace) -> None:
    """Score a trial list."""
    network, trials, enrolled = (
        BVectorBackEnd.read(args.network),
        read_trials(args.trials),
        read_vectors(args.enrol_scp),
    )
    tested = None if args.test_scp == args.enrol_scp else read_vectors(args.test_scp)
    with naming(args.trials, KeyError):
        write_scores(args.out, trials, network.score(trials, enrolled, tested))


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line; train or score."""
    args = parse(argv)
    {"train": train, "score": score}[args.command](args)


if __name__ == "__main__":
    main()
