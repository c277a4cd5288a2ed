"""Score a trial list.

sv score cosine data/voxceleb1_test/trials xvector.scp xvector.scp cosine.scores
"""

import argparse
from pathlib import Path

from sv.bin.common import fail_in_one_line
from sv.kaldi import read_trials, read_vectors, write_scores
from sv.scoring import score_cosine


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and score."""
    parser = argparse.ArgumentParser(
        prog="sv score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("backend", choices=("cosine",))
    parser.add_argument("trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
    parser.add_argument("enrol_scp", type=Path, help="Kaldi scp of (dim,) vectors")
    parser.add_argument("test_scp", type=Path, help="Kaldi scp of (dim,) vectors; may be the same")
    parser.add_argument("out", type=Path, help="output, lines of <enrolment-utt> <test-utt> <score>")
    args = parser.parse_args(argv)
    trials, enrolled = read_trials(args.trials), read_vectors(args.enrol_scp)
    tested = None if args.test_scp == args.enrol_scp else read_vectors(args.test_scp)
    try:
        scores = score_cosine(trials, enrolled, tested)
    except KeyError as error:
        raise ValueError(f"{args.trials}: {error.args[0]}") from error
    write_scores(args.out, trials, scores)


if __name__ == "__main__":
    main()
