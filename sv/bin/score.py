"""Score a trial list.

sv score cosine data/voxceleb1_test/trials xvector.scp xvector.scp cosine.scores
sv score cosine data/voxceleb1_test/trials xvector.scp xvector.scp cosine-asnorm.scores --as-norm backend/cohort.scp
sv score plda data/sre/trials spk_xvector.scp xvector.scp plda.scores --backend exp/exu_net/backend --num-utts num_utts
sv score neg_mean_l2 data/voxceleb1_test/trials segments.scp segments.scp neg_mean_l2.scores
"""

import argparse
from dataclasses import replace
from pathlib import Path

from sv.base.numbers import COUNT, SHARE
from sv.bin.common import fail_in_one_line
from sv.kaldi import iter_matrices, read_trials, read_vectors, write_scores
from sv.kaldi.scp import naming, read_num_utts
from sv.scoring.backends import BACKENDS
from sv.scoring.sets import Variant

READERS = {"vectors": read_vectors, "segments": lambda scp: dict(iter_matrices(scp))}


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="sv score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("name", choices=list(BACKENDS), metavar="NAME", help=", ".join(BACKENDS))
    parser.add_argument("trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
    parser.add_argument(
        "enrol_scp", type=Path, help="Kaldi scp of (dim,) vectors; for mean_cos and neg_mean_l2 segments.scp"
    )
    parser.add_argument("test_scp", type=Path, help="the same for the test side; may be the same file")
    parser.add_argument("out", type=Path, help="output, lines of <enrolment-utt> <test-utt> <score>")
    parser.add_argument(
        "--backend", type=Path, metavar="DIR", help="of sv backend; cosine is then taken after centring and LDA"
    )
    parser.add_argument("--as-norm", type=Path, metavar="COHORT_SCP", help="normalise scores by these other speakers")
    parser.add_argument("--top-n", type=COUNT, default=300, help="of the cohort that each side chooses (%(default)s)")
    plda = parser.add_argument_group("plda")
    plda.add_argument("--num-utts", type=Path, metavar="FILE", help="utterances that each enrolment vector averages")
    plda.add_argument("--smoothing", type=SHARE, default=0.0, help="as in Kaldi's ivector-copy-plda (%(default)s)")
    plda.add_argument(
        "--length-norm", choices=("expected", "simple", "none"), default="expected",
        help="of projected vectors: Kaldi's default, its --simple-length-normalization, none",
    )  # fmt: skip
    args = parser.parse_args(argv)
    args.options = {
        key: getattr(args, key) for key in ("smoothing", "length_norm") if getattr(args, key) != plda.get_default(key)
    }
    if BACKENDS[args.name].files and args.backend is None:
        parser.error(f"{args.name} needs --backend DIR, which sv backend makes")
    if args.name != "plda" and (args.num_utts or args.options):
        parser.error("--num-utts, --smoothing and --length-norm are for plda")
    if args.as_norm and not BACKENDS[args.name].normalisable:
        normalisable = [name for name, back_end in BACKENDS.items() if back_end.normalisable]
        parser.error(f"--as-norm is for {', '.join(normalisable)}")
    return args


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and score."""
    args = parse(argv)
    kind, trials = BACKENDS[args.name], read_trials(args.trials)
    back_end, read = kind.load(args.backend) if args.backend else kind(), READERS[kind.reads]
    if args.options:
        back_end = replace(back_end, **args.options)
    enrolled = read(args.enrol_scp)
    tested = None if args.test_scp == args.enrol_scp else read(args.test_scp)
    num_utts = read_num_utts(args.num_utts) if args.num_utts else None
    cohort = read_vectors(args.as_norm) if args.as_norm else None
    with naming(args.trials, KeyError):
        variant = Variant(back_end=back_end, cohort=cohort, top_n=args.top_n)
        write_scores(args.out, trials, variant.score(trials, enrolled, tested, num_utts=num_utts))


if __name__ == "__main__":
    main()
