"""Score a trial list.

sv score cosine data/voxceleb1_test/trials xvector.scp xvector.scp cosine.scores
sv score cosine data/voxceleb1_test/trials xvector.scp xvector.scp cosine-asnorm.scores --as-norm backend/cohort.scp
sv score plda data/sre/trials spk_xvector.scp xvector.scp plda.scores --backend exp/exu_net/backend --num-utts num_utts
"""

import argparse
from dataclasses import replace
from pathlib import Path

from sv.bin.common import existing_scp, fail_in_one_line
from sv.kaldi import DataDirError, read_table, read_trials, read_vectors, write_scores
from sv.scoring import CosineScorer, PldaScorer, read_backend, score_trials, smooth_plda


def read_counts(path: Path) -> dict[str, int]:
    """Read lines of `<speaker> <number of utterances>`; raises DataDirError with file and line."""
    counts = {}
    for number, (speaker, text) in enumerate(read_table(path, value="number of utterances").items(), start=1):
        if not text.isdecimal() or int(text) < 1:
            raise DataDirError(f"{path}:{number}: expected '<speaker> <number of utterances>', got '{speaker} {text}'")
        counts[speaker] = int(text)
    return counts


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="sv score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("scorer", choices=("cosine", "plda"))
    parser.add_argument("trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
    parser.add_argument("enrol_scp", type=Path, help="Kaldi scp of (dim,) vectors")
    parser.add_argument("test_scp", type=Path, help="Kaldi scp of (dim,) vectors; may be the same")
    parser.add_argument("out", type=Path, help="output, lines of <enrolment-utt> <test-utt> <score>")
    parser.add_argument(
        "--backend", type=Path, metavar="DIR", help="of sv backend; cosine is then taken after centring and LDA"
    )
    parser.add_argument("--as-norm", type=Path, metavar="COHORT_SCP", help="normalise scores by these other speakers")
    parser.add_argument("--top-n", type=int, default=300, help="of the cohort that each side chooses (%(default)s)")
    plda = parser.add_argument_group("plda")
    plda.add_argument("--num-utts", type=Path, metavar="FILE", help="utterances that each enrolment vector averages")
    plda.add_argument("--smoothing", type=float, default=0.0, help="as in Kaldi's ivector-copy-plda (%(default)s)")
    plda.add_argument(
        "--length-norm",
        choices=("expected", "simple", "none"),
        default="expected",
        help="of projected vectors: Kaldi's default, its --simple-length-normalization, none",
    )
    args = parser.parse_args(argv)
    if args.scorer == "plda" and args.backend is None:
        parser.error("plda needs --backend DIR, which sv backend makes")
    if args.scorer == "cosine" and (args.num_utts or args.smoothing or args.length_norm != "expected"):
        parser.error("--num-utts, --smoothing and --length-norm are for plda")
    return args


def make_scorer(args: argparse.Namespace) -> CosineScorer | PldaScorer:
    """The scorer that the command line names."""
    if args.backend:
        existing_scp(args.backend / "plda", "sv backend makes it")
    backend = read_backend(args.backend) if args.backend else None
    if args.scorer == "cosine":
        return CosineScorer(backend=backend)
    smoothed = replace(backend, plda=smooth_plda(backend.plda, args.smoothing))
    return PldaScorer(backend=smoothed, length_norm=args.length_norm)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and score."""
    args = parse(argv)
    scorer, trials, enrolled = make_scorer(args), read_trials(args.trials), read_vectors(args.enrol_scp)
    tested = None if args.test_scp == args.enrol_scp else read_vectors(args.test_scp)
    options = {"num_utts": read_counts(args.num_utts)} if args.num_utts else {}
    if args.as_norm:
        options |= {"cohort": read_vectors(args.as_norm), "top_n": args.top_n}
    try:
        scores = score_trials(scorer, trials, enrolled, tested, **options)
    except KeyError as error:
        raise ValueError(f"{args.trials}: {error.args[0]}") from error
    write_scores(args.out, trials, scores)


if __name__ == "__main__":
    main()
