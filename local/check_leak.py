#!/usr/bin/env python3
"""Refuse a training set that shares speakers with a set that is evaluated; names them and exits 1.

    local/check_leak.py data/voxceleb1_train data/voxceleb1_test data/voxceleb1_valid

Every speaker of an evaluated set counts, and every utterance that its trials name has to be in the set.
"""

import argparse
import sys
from pathlib import Path

from sv.kaldi.enrolment import read_enrolment, with_models
from sv.kaldi.scp import DataDirError, read_utt2spk
from sv.kaldi.trials import read_trials


def leaks(train: Path, evaluated: Path) -> str:
    """Describe what is wrong, in a line; empty if nothing is."""
    utt2spk = read_utt2spk(evaluated / "utt2spk")
    if (evaluated / "trials").exists():
        trials = read_trials(evaluated / "trials")
        known = with_models(utt2spk, read_enrolment(evaluated, utt2spk))
        for number, pair in enumerate(zip(trials.enrolment, trials.test), start=1):
            for utt in pair:
                if utt not in known:
                    return f"{evaluated}/trials:{number}: unknown utterance {utt}; it is not in {evaluated}/utt2spk"
    shared = sorted(set(utt2spk.values()) & set(read_utt2spk(train / "utt2spk").values()))
    if shared:
        return f"{len(shared)} speakers of {evaluated} are in training ({train}): {', '.join(shared[:5])}"
    return ""


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("train", type=Path, help="data directory")
    parser.add_argument("evaluated", type=Path, nargs="+", help="data directories")
    args = parser.parse_args(argv)
    try:
        problems = [problem for path in args.evaluated if (problem := leaks(args.train, path))]
    except (DataDirError, OSError) as error:
        problems = [str(error)]
    if problems:
        sys.exit("check_leak.py: " + "\n".join(problems))


if __name__ == "__main__":
    main()
