#!/usr/bin/env python3
"""Make a test set of a trial list: a data directory of the recordings that it names, with its trials.

    local/import_trial_list.py --trials vox1-e-cleaned --audio /corpora/voxceleb1 data/vox1-e-cleaned
    local/import_trial_list.py --trials cn-celeb --audio /corpora/CN-Celeb_flac data/cn-celeb
    local/import_trial_list.py --trials my.txt --enrolment models.txt --audio /audio --audio /more data/my

--trials is a name of local/protocols.toml, whose list is looked for below the --audio folders and must be the published one,
or a file. Lines are `1|0 <recording> <recording>` or `<recording> <recording> 1|0`, with paths below an --audio folder, or
the last parts of them; a suffix of audio may be another one on disk. With --enrolment, lines of `<model> <recording> ...`,
trials name models. A speaker is who the names of VoxCeleb and CN-Celeb say; recordings of other names are of one speaker if
target trials join them.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from local.listed import find_recordings, iter_list, read_models, speakers_of, utterance_of
from local.protocols import TABLE, Protocol, published_list, read_protocols, record_list, suggestion
from sv.base.config import ConfigError
from sv.base.files import write_text
from sv.base.numbers import COUNT, SHARE
from sv.data.audio import BadAudio
from sv.data.corpus import Source, write_set
from sv.kaldi.enrolment import ENROLMENT, write_enrolment
from sv.kaldi.scp import DataDirError
from sv.kaldi.trials import Trials, write_trials


def find_trials(args: argparse.Namespace) -> tuple[Path, Protocol | None]:
    """The list, and its protocol if it was asked for by name; raises DataDirError if there is none."""
    if found := published_list(args.trials, args.audio, args.protocols):
        return found[1], found[0]
    path = Path(args.trials)
    if not path.is_file():
        raise DataDirError(f"{path}: no such trial list; {suggestion(args.trials, read_protocols(args.protocols))}")
    return path, None


def find_models(args: argparse.Namespace, path: Path, protocol: Protocol | None) -> dict[str, list[str]]:
    """Recordings of each model: of --enrolment, or of the published list beside the trials; empty if there are no models."""
    if args.enrolment:
        return read_models(args.enrolment)
    if protocol and protocol.enrolment:
        beside = path.with_name(protocol.enrolment)
        if not beside.is_file():
            raise DataDirError(
                f"{beside}: not there; {protocol.name} has it beside {path.name}, or give --enrolment FILE"
            )
        return read_models(beside)
    return {}


def sources_of(
    path: Path, speakers: Mapping[str, str], folders: Sequence[Path], roots: Sequence[Path]
) -> dict[str, Source]:
    """File and ids of each recording of a list; raises DataDirError with the number of those that are not there."""
    files, sources, seen = find_recordings(speakers, folders, roots), {}, {}
    if missing := [name for name in speakers if name not in files]:
        raise DataDirError(
            f"{path}: {len(missing)} of {len(speakers)} recordings are not there, e.g. {missing[0]}; looked below "
            f"{', '.join(map(str, roots))}"
        )
    for name, speaker in speakers.items():
        utterance = utterance_of(name, speaker)
        if seen.setdefault(utterance, name) != name:
            raise DataDirError(f"{path}: {name} and {seen[utterance]} would both be utterance {utterance}")
        sources[name] = Source(utterance=utterance, speaker=speaker, path=str(files[name]))
    return sources


def trials_of(
    path: Path, utterances: Mapping[str, str], models: Mapping[str, Sequence[str]]
) -> tuple[Trials, list[str]]:
    """Trials whose two sides can be used, and those that others take away.

    Parameters
    ----------
    path : Path
    utterances : mapping of str to str
        Utterance of each recording that can be used.
    models : mapping of str to sequence of str
        Utterances of each model that has any; empty if the list names recordings.
    """
    left, right, labels, dropped = [], [], [], []
    for trial in iter_list(path):
        enrolment = (trial.enrolment in models and trial.enrolment) if models else utterances.get(trial.enrolment)
        if enrolment and trial.test in utterances:
            left.append(enrolment)
            right.append(utterances[trial.test])
            labels.append(trial.is_target)
        else:
            dropped.append(f"{trial.enrolment} {trial.test}")
    is_target = np.array(labels, dtype=bool)
    if not is_target.any() or is_target.all():
        raise DataDirError(
            f"{path}: {is_target.sum()} target and {(~is_target).sum()} nontarget trials; both are needed"
        )
    return Trials(left, right, is_target), dropped


def make_set(args: argparse.Namespace) -> str:
    """Write the data directory; returns what it holds, in words."""
    path, protocol = find_trials(args)
    models = find_models(args, path, protocol)
    folders = [folder / sub for folder in args.audio for sub in (protocol.audio if protocol else (".",))]
    sources = sources_of(path, speakers_of(path, models), folders, args.audio)
    for name in ("trials", ENROLMENT):  # of an earlier list: none is better than one of other recordings
        (args.out / name).unlink(missing_ok=True)
    bad = write_set(args.out, sources.values(), nj=args.nj, max_bad=args.max_bad)
    utterances = {name: source.utterance for name, source in sources.items() if source.utterance not in bad}
    usable = {model: [utterances[name] for name in names if name in utterances] for model, names in models.items()}
    usable = {model: utts for model, utts in usable.items() if utts}
    trials, dropped = trials_of(path, utterances, usable)
    if usable:
        named = set(trials.enrolment)
        write_enrolment(args.out, {model: utts for model, utts in usable.items() if model in named})
    write_text(args.out / "trials.dropped", "".join(f"{pair}\n" for pair in dropped))
    record_list(args.out, path, protocol, args.protocols)
    write_trials(args.out / "trials", trials)
    return f"{len(trials)} trials of {path.name}, {len(dropped)} dropped with quarantined utterances"


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and make the set."""
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", required=True, metavar="NAME|FILE", help="a published list's name, or a list")
    parser.add_argument(
        "--audio", type=Path, action="append", required=True, help="folder of the recordings; again for more"
    )
    parser.add_argument("--enrolment", type=Path, help="list of models; default: the published one, if there is one")
    parser.add_argument("--protocols", type=Path, default=TABLE, help="table of published lists (%(default)s)")
    parser.add_argument("--nj", type=COUNT, default=1, help="processes")
    parser.add_argument("--max-bad", type=SHARE, default=0.01, help="share of bad recordings to tolerate (%(default)s)")
    parser.add_argument("out", type=Path, help="data directory to write")
    args = parser.parse_args(argv)
    args.audio = [folder.absolute() for folder in args.audio]
    try:
        print(f"{args.out.name}: {make_set(args)}")
    except (DataDirError, ConfigError, BadAudio, OSError) as error:
        sys.exit(f"import_trial_list.py: {error}")


if __name__ == "__main__":
    main()
