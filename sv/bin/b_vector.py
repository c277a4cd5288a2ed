"""RawNet1's b-vector back end: a network on pairs of embeddings.

sv b_vector train xvector.scp data/train/utt2spk data/valid/trials valid/xvector.scp exp/rawnet1/backend/b_vector.npz
sv b_vector score exp/rawnet1/backend/b_vector.npz data/test/trials xvector.scp xvector.scp b_vector.scores
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from sv.bin.common import fail_in_one_line
from sv.kaldi import read_trials, read_utt2spk, read_vectors, write_scores
from sv.scoring import compute_eer
from sv.scoring.b_vector import from_arrays, read_b_vector, score_b_vector, write_b_vector
from sv.train.b_vector import BVectorConfig, train_b_vector


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
    training.add_argument("--seed", type=int, default=0)
    for field in dataclasses.fields(BVectorConfig):
        training.add_argument(
            f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default, help="%(default)s"
        )
    scoring = commands.add_parser("score", help="log odds of target", allow_abbrev=False)
    scoring.add_argument("network", type=Path)
    scoring.add_argument("trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
    scoring.add_argument("enrol_scp", type=Path)
    scoring.add_argument("test_scp", type=Path, help="may be the same")
    scoring.add_argument("out", type=Path, help="output, lines of <enrolment-utt> <test-utt> <score>")
    return parser.parse_args(argv)


def train(args: argparse.Namespace) -> None:
    """Train on the utterances of the scp."""
    vectors, utt2spk = read_vectors(args.xvector_scp), read_utt2spk(args.utt2spk)
    if missing := [utt for utt in vectors if utt not in utt2spk]:
        raise ValueError(f"{args.utt2spk}: {len(missing)} utterances are not there, e.g. {missing[:3]}")
    _, speaker_ids = np.unique([utt2spk[utt] for utt in vectors], return_inverse=True)
    trials, held_out = read_trials(args.valid_trials), read_vectors(args.valid_scp)

    def evaluate(arrays: dict[str, np.ndarray]) -> float:
        return compute_eer(score_b_vector(trials, from_arrays(arrays), held_out), trials.is_target)

    config = BVectorConfig(**{field.name: getattr(args, field.name) for field in dataclasses.fields(BVectorConfig)})
    arrays = train_b_vector(np.stack(list(vectors.values())), speaker_ids, config, args.seed, evaluate)
    write_b_vector(args.out, from_arrays(arrays))


def score(args: argparse.Namespace) -> None:
    """Score a trial list."""
    trials, enrolled = read_trials(args.trials), read_vectors(args.enrol_scp)
    tested = None if args.test_scp == args.enrol_scp else read_vectors(args.test_scp)
    try:
        write_scores(args.out, trials, score_b_vector(trials, read_b_vector(args.network), enrolled, tested))
    except KeyError as error:
        raise ValueError(f"{args.trials}: {error.args[0]}") from error


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line; train or score."""
    args = parse(argv)
    (train if args.command == "train" else score)(args)


if __name__ == "__main__":
    main()
