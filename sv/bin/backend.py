"""Train scoring back ends, and the cohort for score normalisation.

sv backend exp/exu_net/embeddings/voxceleb1_train/xvector.scp data/voxceleb1_train/utt2spk exp/exu_net/backend
sv backend --kinds plda,b_vector --valid-trials data/valid/trials --valid-scp valid/xvector.scp --set b_vector.num_epochs=10 ...

Writes cohort.{ark,scp}, the mean embedding of each speaker, and what each back end learns: plda mean.vec, transform.mat and
plda, as Kaldi's voxceleb v2 recipe trains them and in its formats; b_vector, RawNet1's network, b_vector.npz.
"""

import argparse
from pathlib import Path

from sv.base.config import ConfigError
from sv.base.numbers import COUNT, NOT_NEGATIVE, SEED
from sv.bin.common import fail_in_one_line
from sv.kaldi.scp import naming
from sv.scoring.backends import BACKENDS
from sv.scoring.backends.training import cohort_of, configs_of, read_training, trainable, write_cohort


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="sv backend", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("xvector_scp", type=Path, help="Kaldi scp of the training set's (dim,) embeddings")
    parser.add_argument("utt2spk", type=Path, help="lines of <utterance> <speaker>")
    parser.add_argument("out_dir", type=Path, help="folder to write")
    parser.add_argument(
        "--kinds", default="plda", metavar="NAME,...", help=f"of {', '.join(trainable())} (%(default)s)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME.KEY=VALUE",
        help="option of a back end, as in TOML; repeatable",
    )
    parser.add_argument("--seed", type=SEED, default=0, help="of random draws (%(default)s)")
    parser.add_argument("--valid-trials", type=Path, help="of held-out speakers, to choose by; b_vector needs them")
    parser.add_argument("--valid-scp", type=Path, help="embeddings of the held-out speakers")
    plda = parser.add_argument_group("plda")
    plda.add_argument(
        "--lda-dim", type=COUNT, default=200, help="dimensions to keep, if the data support as many (%(default)s)"
    )
    plda.add_argument("--adapt", type=Path, metavar="XVECTOR_SCP", help="adapt PLDA to these unlabelled embeddings")
    plda.add_argument("--within-scale", type=NOT_NEGATIVE, default=0.3, help="share of excess variance (%(default)s)")
    plda.add_argument("--between-scale", type=NOT_NEGATIVE, default=0.7, help="share of excess variance (%(default)s)")
    plda.add_argument("--text", action="store_true", help="Kaldi's text format instead of its binary")
    args = parser.parse_args(argv)
    own = {name: getattr(args, name) for name in ("lda_dim", "within_scale", "between_scale", "text")}
    if (args.valid_trials is None) != (args.valid_scp is None):
        parser.error("--valid-trials and --valid-scp belong together")
    try:
        args.configs = configs_of(args.kinds.split(","), args.set, {"plda": own})
    except ConfigError as error:
        parser.error(str(error))
    return args


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    args = parse(argv)
    held_out = {"valid_trials": args.valid_trials, "valid_scp": args.valid_scp}
    training = read_training(args.xvector_scp, args.utt2spk, **held_out, adapt=args.adapt)
    with naming(args.xvector_scp):
        fitted = [BACKENDS[kind].fit(training, config, args.seed) for kind, config in args.configs.items()]
    cohort = cohort_of(training)
    write_cohort(args.out_dir, cohort)
    for back_end in fitted:
        back_end.save(args.out_dir)
    print(f"{len(training.names)} utterances of {len(cohort)} speakers: {'; '.join(map(str, fitted))}")


if __name__ == "__main__":
    main()
