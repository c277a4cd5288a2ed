#!/usr/bin/env python3
"""Enrol every speaker of a data directory from several utterances, and try all models on all other utterances.

    local/make_enrolment.py --num-enrol 5 data/vctk_test
    local/make_enrolment.py --num-enrol 5 --by-phrase data/digits
    local/make_enrolment.py --first-half data/vctk_shared_recordings

Writes <data-dir>/enrolment, lines of <model> <utterance> ..., and <data-dir>/trials. A model is a speaker, enrolled from
the first utterances; with --by-phrase, a speaker and a phrase, the second part of <speaker>-<phrase>-<take>, and tried on
that phrase alone. Utterances are recordings, so that no recording is on both sides.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from sv.base.numbers import COUNT
from sv.kaldi.enrolment import write_enrolment
from sv.kaldi.scp import DataDirError, invert, read_utt2spk
from sv.kaldi.trials import Trials, write_trials


def phrase_of(utterance: str) -> str:
    """The part between speaker and take."""
    fields = utterance.split("-")
    if len(fields) != 3:
        raise DataDirError(f"{utterance}: expected <speaker>-<phrase>-<take>, which --by-phrase needs")
    return fields[1]


def group_by_phrase(spk2utt: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
    """Phrase to speaker to utterances."""
    phrases: dict[str, dict[str, list[str]]] = {}
    for speaker, utts in spk2utt.items():
        for utt in utts:
            phrases.setdefault(phrase_of(utt), {}).setdefault(speaker, []).append(utt)
    return phrases


def enrol(
    spk2utt: dict[str, list[str]], num_enrol: int | None, suffix: str = ""
) -> tuple[dict[str, list[str]], Trials]:
    """Models of the first `num_enrol` utterances (None: of the first half), and trials of each with every other one."""
    first = {speaker: num_enrol or len(utts) // 2 for speaker, utts in spk2utt.items()}
    enough = {speaker: utts for speaker, utts in spk2utt.items() if 0 < first[speaker] < len(utts)}
    models = {f"{speaker}{suffix}": utts[: first[speaker]] for speaker, utts in enough.items()}
    trials = [
        (f"{model}{suffix}", utt, model == speaker)
        for model in enough
        for speaker, utts in enough.items()
        for utt in utts[first[speaker] :]
    ]
    names, utts, labels = zip(*trials) if trials else ((), (), ())
    return models, Trials(list(names), list(utts), np.array(labels, dtype=bool))


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and enrol."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-enrol", type=COUNT, default=5, help="utterances of a model (%(default)s)")
    parser.add_argument("--first-half", action="store_true", help="models of the first half of a speaker's utterances")
    parser.add_argument(
        "--by-phrase", action="store_true", help="models of a speaker and a phrase, tried on that phrase"
    )
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args(argv)
    try:
        spk2utt = invert(read_utt2spk(args.data_dir / "utt2spk"))
        groups = (
            {f"-{phrase}": own for phrase, own in sorted(group_by_phrase(spk2utt).items())}
            if args.by_phrase
            else {"": spk2utt}
        )
        num_enrol = None if args.first_half else args.num_enrol
        parts = [enrol(own, num_enrol, suffix) for suffix, own in groups.items()]
        models = {model: utts for own, _ in parts for model, utts in own.items()}
        trials = Trials(
            [name for _, own in parts for name in own.enrolment],
            [utt for _, own in parts for utt in own.test],
            np.concatenate([own.is_target for _, own in parts]),
        )
        left_out = sum(len(own) for own in groups.values()) - len(models)
        if trials.is_target.all() or not trials.is_target.any():
            least = "one utterance" if args.first_half else f"{args.num_enrol} utterances; lower --num-enrol"
            raise DataDirError(f"{args.data_dir}: fewer than two models with more than {least}")
        write_enrolment(args.data_dir, models)
        write_trials(args.data_dir / "trials", trials)
    except (DataDirError, OSError) as error:
        sys.exit(f"make_enrolment.py: {error}")
    sizes = " or ".join(map(str, sorted({len(utts) for utts in models.values()})))
    print(
        f"{args.data_dir.name}: {len(models)} models of {sizes} utterances, {left_out} left out with too few; "
        f"{trials.is_target.sum()} target and {(~trials.is_target).sum()} nontarget trials"
    )


if __name__ == "__main__":
    main()
