#!/usr/bin/env python3
"""Refuse a training set that shares speakers with a set that is evaluated; names them and exits 1.

    local/check_leak.py data/voxceleb1_train data/voxceleb1_test data/voxceleb1_valid
    local/check_leak.py --trained exp/exu_net --protocol vox1-e data/vox1-e    a model that was trained before
    local/check_leak.py --systems exu_net,se_resnet --protocol vox1-e          systems that are to be trained

Every speaker of an evaluated set counts, and every utterance that its trials name has to be in the set. A model folder tells
its training speakers by the cohort of its back end; one that was converted from published weights does not tell, and passes.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from local.protocols import read_protocols
from sv.base.config import ConfigError, load_json_table
from sv.kaldi.enrolment import read_enrolment, with_models
from sv.kaldi.scp import DataDirError, read_scp, read_utt2spk
from sv.kaldi.trials import read_trials


def unknown_utterance(evaluated: Path, utt2spk: dict[str, str]) -> str:
    """Describe the first trial of an utterance that the set lacks, in a line; empty if there is none."""
    if (evaluated / "trials").exists():
        trials = read_trials(evaluated / "trials")
        known = with_models(utt2spk, read_enrolment(evaluated, utt2spk))
        for number, pair in enumerate(zip(trials.enrolment, trials.test), start=1):
            for utt in pair:
                if utt not in known:
                    return f"{evaluated}/trials:{number}: unknown utterance {utt}; it is not in {evaluated}/utt2spk"
    return ""


def leaks(train: Path, speakers: Callable[[], Iterable[str]], evaluated: Path) -> str:
    """Describe what is wrong with a set beside the speakers of `train`, in a line; empty if nothing is."""
    utt2spk = read_utt2spk(evaluated / "utt2spk")
    if wrong := unknown_utterance(evaluated, utt2spk):
        return wrong
    shared = sorted(set(utt2spk.values()).intersection(speakers()))
    if shared:
        return f"{len(shared)} speakers of {evaluated} are in training ({train}): {', '.join(shared[:5])}"
    return ""


def leaks_of_model(model: Path, tests_training: bool, evaluated: Path) -> str:
    """Describe what is wrong with a set for a model that was trained before, in a line; empty if nothing is, or can be known.

    Parameters
    ----------
    model : Path
        A folder; a file, or a folder without configuration, is a model of others.
    tests_training : bool
        The set is known to hold speakers that systems here train on.
    evaluated : Path
    """
    cohort, config = model / "backend" / "cohort.scp", model / "config.json"
    if cohort.is_file():
        return leaks(model, lambda: read_scp(cohort), evaluated)
    if tests_training and config.is_file() and "published" not in load_json_table(config):
        return (
            f"{model} was trained here, and {evaluated} has speakers that systems here train on: {cohort}, which would tell, "
            "is not there; run stage 6 of its recipe"
        )
    return leaks(model, tuple, evaluated)


def leaks_of_systems(systems: str, protocol: str, train_set: str) -> str:
    """Describe a published list that no system of a training set can be trained for, in a line; empty if it is none of these."""
    known = read_protocols().get(protocol)
    if known is None or not known.training or "vox1" not in train_set.split("+"):
        return ""
    return (
        f"{protocol} tests speakers of VoxCeleb1's training set, on whom {systems.replace(',', ' and ')} would be trained; "
        "it is for models trained on others: --model NAME without --config and --baseline, for instance one of --train-set vox2"
    )


def find_problems(args: argparse.Namespace) -> list[str]:
    """Describe all that is wrong, a line each."""
    if args.systems:
        return [leaks_of_systems(args.systems, args.protocol, args.train_set)]
    if args.trained:
        known = read_protocols().get(args.protocol)
        tests_training = known is not None and known.training
        return [leaks_of_model(model, tests_training, path) for model in args.trained for path in args.data_dirs]
    train, *evaluated = args.data_dirs
    return [leaks(train, lambda: read_utt2spk(train / "utt2spk").values(), path) for path in evaluated]


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and check."""
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--trained", type=Path, action="append", default=[], help="model; all data directories are evaluated"
    )
    parser.add_argument("--systems", default="", help="names of systems to be trained, a,b; with --protocol alone")
    parser.add_argument("--protocol", default="", help="published list, of local/protocols.toml")
    parser.add_argument("--train-set", default="vox1", help="that systems are to be trained on (%(default)s)")
    parser.add_argument(
        "data_dirs", type=Path, nargs="*", metavar="DATA_DIR", help="the training set, then evaluated ones"
    )
    args = parser.parse_args(argv)
    if len(args.data_dirs) < (0 if args.systems else 1 if args.trained else 2):
        parser.error("give the training set and at least one set that is evaluated")
    try:
        problems = list(filter(None, find_problems(args)))
    except (DataDirError, ConfigError, OSError) as error:
        problems = [str(error)]
    if problems:
        sys.exit("check_leak.py: " + "\n".join(problems))


if __name__ == "__main__":
    main()
