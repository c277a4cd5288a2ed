#!/usr/bin/env python3
"""Trials of a VOiCES data directory: from the challenge's own lists, or, for the devkit, made by the rules below.

    local/make_voices_trials.py --corpus /corpora/VOiCES data/voices_dev    the lists that come with the corpus
    local/make_voices_trials.py --keys dev-trial-keys.lst --enroll dev-enroll.lst --test dev-test.lst data/voices_dev
    local/make_voices_trials.py --num-targets 4 --num-nontargets 12 --seed 0 data/voices_devkit

The challenge's formats: enrolment list `<model> <path>`, one file a model; test list `<path>`; keys `<model> <path> tgt|imp`.
Every file that a list names has to be in the data directory or its quarantine.tsv; trials of quarantined files go to
trials.dropped.

The rules for the devkit: enrolment is a source recording, test a recording in a room. Each test recording meets up to
--num-targets source recordings of its speaker, never the words that it repeats, and up to --num-nontargets of other
speakers, one per speaker as long as there are speakers enough. They are drawn by a hash of (seed, test recording, source
recording): every room, distractor and microphone meets the same enrolment, and another recording moves no one else's trials.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from local.protocols import TABLE, check_list, read_protocols, record_list
from local.voices import parse_name
from sv.base.files import write_text
from sv.base.numbers import COUNT, SEED
from sv.base.seeding import derive_seed
from sv.kaldi.data_dir import quarantined
from sv.kaldi.scp import DataDirError, byte_order, read_table, read_utt2spk, text_rows
from sv.kaldi.trials import Trials, write_trials

LABELS = {"tgt": True, "imp": False}
# Where the challenge's packages have the lists of each set: folders, then names of keys, enrolment and test list.
LISTS = {
    "voices_dev": (
        ("Development_Data/Speaker_Recognition/sid_dev_lists_and_keys", "sid_dev_lists_and_keys", "."),
        ("dev-trial-keys.lst", "dev-enroll.lst", "dev-test.lst"),
    ),
    "voices_eval": (
        (
            "VOiCES_challenge_2019_post-eval-release",
            "Evaluation_Data/Speaker_Recognition/sid_eval_lists",
            "sid_eval_lists",
            ".",
        ),
        ("VOiCES_challenge_2019_eval.SID.trial-keys.lst", "eval-enroll.lst", "eval-test.lst"),
    ),
}


class Recordings:
    """Utterances by file name, and the names that were quarantined."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.utterances = {name: utt for utt, name in read_table(data_dir / "utt2name").items()}
        bad = text_rows(data_dir / "quarantine.tsv")
        self.quarantined = {Path(line.split("\t")[1]).stem for _, line in bad} - set(self.utterances)

    def check(self, name: str, where: str) -> str:
        """Return the name; raises DataDirError if there is no such file, good or bad."""
        if name not in self.utterances and name not in self.quarantined:
            raise DataDirError(f"{where}: {name} is not in {self.data_dir}")
        return name


def rows_of(path: Path, form: str) -> list[tuple[str, list[str]]]:
    """Rows of a list with where they stand; raises DataDirError unless each has as many fields as `form`."""
    rows = []
    for number, line in text_rows(path):
        fields = line.split()
        if len(fields) != len(form.split()):
            raise DataDirError(f"{path}:{number}: expected '{form}', got {line!r}")
        rows.append((f"{path}:{number}", fields))
    return rows


def read_models(path: Path | None, recordings: Recordings) -> dict[str, str] | None:
    """File name without suffix of each model of an enrolment list; None without a list, when models are named by files."""
    if path is None:
        return None
    models: dict[str, str] = {}
    for where, (model, file) in rows_of(path, "<model> <path>"):
        if model in models:
            raise DataDirError(f"{where}: model {model} appears twice; trials are of one file against one file")
        models[model] = recordings.check(Path(file).stem, where)
    return models


def find_lists(corpus: Path, set_name: str) -> list[Path | None]:
    """Keys, enrolment list and test list of a set of the challenge; the last two may be absent."""
    folders, names = LISTS[set_name]
    found = [next((corpus / f / name for f in folders if (corpus / f / name).is_file()), None) for name in names]
    if found[0] is None:
        raise DataDirError(f"{corpus}: no {names[0]}; looked in {', '.join(folders)}")
    return found


def challenge_trials(args: argparse.Namespace) -> tuple[Trials, list[str]]:
    """The key list's trials, and those that quarantined files take away."""
    recordings = Recordings(args.data_dir)
    models = read_models(args.enroll, recordings)
    tests = None
    if args.test:
        tests = {recordings.check(Path(file).stem, where) for where, (file,) in rows_of(args.test, "<path>")}
    kept, dropped = [], []
    for where, (model, file, label) in rows_of(args.keys, "<model> <path> tgt|imp"):
        if label not in LABELS:
            raise DataDirError(f"{where}: the last field must be tgt or imp, got {label!r}")
        if models is not None and model not in models:
            raise DataDirError(f"{where}: model {model} is not in {args.enroll}")
        test = recordings.check(Path(file).stem, where)
        if tests is not None and test not in tests:
            raise DataDirError(f"{where}: {file} is not in {args.test}")
        enrolment = models[model] if models is not None else recordings.check(model, where)
        if {enrolment, test} & recordings.quarantined:
            dropped.append(f"{enrolment} {test}")
        else:
            kept.append((recordings.utterances[enrolment], recordings.utterances[test], LABELS[label]))
    return as_trials(kept, str(args.keys)), dropped


def devkit_trials(args: argparse.Namespace) -> Trials:
    """Trials by the rules of this file's head."""
    names = {utt: parse_name(name) for utt, name in read_table(args.data_dir / "utt2name").items()}
    if args.microphones:
        names = with_microphones(names, args.microphones.split(","), args.data_dir)
    sources = {utt: name for utt, name in names.items() if name.is_source}
    trials = []
    for test in sorted((utt for utt, name in names.items() if not name.is_source), key=byte_order):
        ranked = sorted(sources, key=lambda source: derive_seed(args.seed, "voices-trial", test, source))
        own = [utt for utt in ranked if sources[utt].speaker == names[test].speaker]
        own = [utt for utt in own if sources[utt].speech != names[test].speech][: args.num_targets]
        others = [utt for utt in ranked if sources[utt].speaker != names[test].speaker]
        others = one_a_speaker_first(others, sources)[: args.num_nontargets]
        trials += [(source, test, source in own) for source in sorted(own + others, key=byte_order)]
    return as_trials(trials, str(args.data_dir))


def with_microphones(names: dict, wanted: list[str], data_dir: Path) -> dict:
    """The recordings by some microphones, and the source ones."""
    there = sorted({name.microphone for name in names.values() if not name.is_source})
    if missing := [microphone for microphone in wanted if microphone not in there]:
        raise DataDirError(f"{data_dir}: no recordings of microphone {missing[0]}; there are {', '.join(there)}")
    return {utt: name for utt, name in names.items() if name.is_source or name.microphone in wanted}


def one_a_speaker_first(utts: list[str], names: dict) -> list[str]:
    """The same utterances in rounds: each speaker's first, then each one's second, and so on."""
    seen: dict[str, int] = {}
    rounds = []
    for place, utt in enumerate(utts):
        speaker = names[utt].speaker
        rounds.append((seen.get(speaker, 0), place, utt))
        seen[speaker] = seen.get(speaker, 0) + 1
    return [utt for _, _, utt in sorted(rounds)]


def as_trials(rows: list[tuple[str, str, bool]], where: str) -> Trials:
    """Trials of (enrolment, test, is target) rows, of which both kinds are needed."""
    labels = np.array([is_target for _, _, is_target in rows], dtype=bool)
    if not labels.any() or labels.all():
        raise DataDirError(f"{where}: {labels.sum()} target and {(~labels).sum()} nontarget trials; both are needed")
    return Trials([enrolment for enrolment, _, _ in rows], [test for _, test, _ in rows], labels)


def check_speakers(trials: Trials, utt2spk: dict[str, str], where: str) -> None:
    """Raise DataDirError if a label contradicts the speakers, which names tell where they are known."""
    if all(utt == speaker for utt, speaker in utt2spk.items()):
        return
    for enrolment, test, is_target in zip(trials.enrolment, trials.test, trials.is_target, strict=True):
        if (utt2spk[enrolment] == utt2spk[test]) != is_target:
            label = "target" if is_target else "nontarget"
            raise DataDirError(f"{where}: {enrolment} {test} is called {label}, which their speakers are not")


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write `trials`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--corpus", type=Path, help="where the challenge's lists are; the devkit has none")
    parser.add_argument(
        "--keys", type=Path, help="the challenge's list of trials with keys; without it, the devkit's rules"
    )
    parser.add_argument(
        "--enroll", type=Path, help="the challenge's enrolment list; default: models are named by files"
    )
    parser.add_argument("--test", type=Path, help="the challenge's list of test files, checked if given")
    parser.add_argument("--num-targets", type=COUNT, default=4, help="of a test recording, by the rules (%(default)s)")
    parser.add_argument(
        "--num-nontargets", type=COUNT, default=12, help="of a test recording, by the rules (%(default)s)"
    )
    parser.add_argument("--microphones", default="", help="these alone, by the rules: mc01,mc05")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--protocols", type=Path, default=TABLE, help="table of published lists (%(default)s)")
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args(argv)
    if (args.enroll or args.test) and not args.keys:
        parser.error("--enroll and --test go with --keys")
    if args.keys and args.microphones:
        parser.error("--microphones goes with the devkit's rules; the challenge's lists are taken whole")
    protocols, protocol = read_protocols(args.protocols), None
    try:
        if args.corpus and not args.keys and args.data_dir.name in LISTS:
            args.keys, args.enroll, args.test = find_lists(args.corpus, args.data_dir.name)
            protocol = protocols[args.data_dir.name.replace("_", "-")]
            check_list(protocol, args.keys, protocols)
        trials, dropped = challenge_trials(args) if args.keys else (devkit_trials(args), [])
        check_speakers(trials, read_utt2spk(args.data_dir / "utt2spk"), str(args.keys or args.data_dir))
        write_trials(args.data_dir / "trials", trials)
        if args.keys:
            record_list(args.data_dir, args.keys, protocol, args.protocols)
        write_text(args.data_dir / "trials.dropped", "".join(f"{pair}\n" for pair in dropped))
    except (DataDirError, OSError) as error:
        sys.exit(f"make_voices_trials.py: {error}")
    print(
        f"{args.data_dir.name}: {trials.is_target.sum()} target and {(~trials.is_target).sum()} nontarget trials, "
        f"{len(dropped)} dropped with {len(quarantined(args.data_dir))} quarantined files"
    )


if __name__ == "__main__":
    main()
