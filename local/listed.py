"""Trial lists in the forms in which they are published, and what their names say: recordings, speakers, utterance ids."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sv.data.corpus import AUDIO_SUFFIXES, audio_files
from sv.kaldi.scp import DataDirError, byte_order, iter_lines, shown

LABELS = {"1": True, "0": False, "target": True, "nontarget": False, "tgt": True, "imp": False}
FORMS = "'1|0 <recording> <recording>' or '<recording or model> <recording> 1|0' (or target|nontarget, tgt|imp)"
SPEAKER = re.compile(r"(?:^|/)(id\d{5})(?=[-/])")  # in names of VoxCeleb's and CN-Celeb's recordings


class ListedTrial(NamedTuple):
    """A line of a list: the recordings' names as it has them, on the enrolment side maybe a model's."""

    number: int
    enrolment: str
    test: str
    is_target: bool


def iter_list(path: Path) -> Iterator[ListedTrial]:
    """Yield the trials of a list of any of `FORMS`; the first line says of which.

    Raises
    ------
    DataDirError
        Naming file and line.
    """
    where = None
    with path.open("rb") as file:
        for number, line in iter_lines(file):
            try:
                fields = line.decode().split()
            except UnicodeDecodeError as error:
                raise DataDirError(f"{path}:{number}: not UTF-8 text") from error
            if where is None and len(fields) == 3:
                where = 0 if fields[0] in ("0", "1") else 2
            if where is None or len(fields) != 3 or fields[where] not in LABELS:
                raise DataDirError(f"{path}:{number}: expected {FORMS}, got {shown(line)}")
            label = LABELS[fields.pop(where)]
            left, right = map(sys.intern, fields)  # one object a name, not one a trial
            yield ListedTrial(number, left, right, label)


def name_counts(path: Path) -> dict[str, int]:
    """Numbers of trials, targets, nontargets, names, and speakers that names tell, of a list; raises as `iter_list`."""
    targets, trials, names = 0, 0, set()
    for trial in iter_list(path):
        trials += 1
        targets += trial.is_target
        names.update((trial.enrolment, trial.test))
    speakers = {match[1] for name in names if (match := SPEAKER.search(name))}
    counts = {"trials": trials, "targets": targets, "nontargets": trials - targets}
    return counts | {"utterances": len(names), "speakers": len(speakers)}


def read_models(path: Path) -> dict[str, list[str]]:
    """Read lines of `<model> <recording> <recording> ...`; raises DataDirError naming file and line."""
    models: dict[str, list[str]] = {}
    with path.open("rb") as file:
        for number, line in iter_lines(file):
            try:
                model, *names = line.decode().split()
            except ValueError as error:  # not UTF-8, or blank
                raise DataDirError(f"{path}:{number}: expected '<model> <recording> ...', got {shown(line)}") from error
            if not names or model in models or len(set(names)) < len(names):
                raise DataDirError(
                    f"{path}:{number}: expected '<model> <recording> ...', each model and its recordings once, got {shown(line)}"
                )
            models[model] = names
    return models


def bare_name(name: str) -> str:
    """A recording's name without a suffix of audio: lists and files may have different ones."""
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in AUDIO_SUFFIXES else name


def find_recordings(names: Iterable[str], folders: Sequence[Path], roots: Sequence[Path]) -> dict[str, Path]:
    """Find the file of each name that there is, with the name's suffix or another of audio.

    Parameters
    ----------
    names : iterable of str
        Paths below one of `folders`; or, where they are not there, the last parts of paths anywhere below `roots`.
    folders, roots : sequence of Path

    Raises
    ------
    DataDirError
        If two files below `roots` have a name.
    """
    found: dict[str, Path] = {}
    missing = []
    for name in names:
        if path := _directly(name, folders):
            found[name] = path
        else:
            missing.append(name)
    lengths = {len(Path(name).parts) for name in missing}
    ends: dict[str, set[Path]] = {}
    for path in (path for root in roots for path in (audio_files(root) if missing else ())):
        for length in lengths:
            ends.setdefault("/".join(Path(bare_name(str(path))).parts[-length:]), set()).add(path)
    for name in missing:
        there = sorted(ends.get(bare_name(name), ()))
        if len({path.resolve() for path in there}) > 1:
            raise DataDirError(f"{name}: it is {there[0]} as well as {there[1]}; name the folder that the list means")
        if there:
            found[name] = there[0]
    return found


def _directly(name: str, folders: Sequence[Path]) -> Path | None:
    """The file of a name as a path below the first folder that has it."""
    for folder in folders:
        for candidate in (name, *(f"{bare_name(name)}{suffix}" for suffix in AUDIO_SUFFIXES)):
            if (path := folder / candidate).is_file():
                return path
    return None


class _Groups:
    """Names that are of one speaker: a union of sets, each known by its first name."""

    def __init__(self) -> None:
        self.above: dict[str, str] = {}

    def first(self, name: str) -> str:
        """The name that stands for all of its group."""
        root = name
        while (above := self.above.setdefault(root, root)) != root:
            root = above
        while self.above[name] != root:
            self.above[name], name = root, self.above[name]
        return root

    def join(self, names: Iterable[str]) -> None:
        """Make one group of the groups of all names."""
        roots = {self.first(name) for name in names}
        if len(roots) > 1:
            first = min(roots, key=byte_order)
            self.above |= dict.fromkeys(roots, first)


def speakers_of(path: Path, models: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Speaker of each recording that a list names: as names of VoxCeleb and CN-Celeb say; else, target trials join them.

    Parameters
    ----------
    path : Path
        The list; it is read twice.
    models : mapping of str to sequence of str
        Recordings of the models on its enrolment side; empty if that names recordings.

    Returns
    -------
    dict of str to str
        `id10001` where names tell; `s000001` and so on for the others, in byte order of each one's first recording.

    Raises
    ------
    DataDirError
        Naming the line, if its label contradicts the names or the other trials, or its model has no recordings.
    """
    groups = _Groups()
    for names in models.values():
        groups.join(names)
    for trial in iter_list(path):
        left = _side(trial, models, path)
        if trial.is_target:
            groups.join((left, trial.test))
        else:
            groups.first(left), groups.first(trial.test)
    told = _told(groups)
    for trial in iter_list(path):
        pair = [groups.first(_side(trial, models, path)), groups.first(trial.test)]
        if (told.get(pair[0], pair[0]) == told.get(pair[1], pair[1])) != trial.is_target:
            label = "target" if trial.is_target else "nontarget"
            raise DataDirError(
                f"{path}:{trial.number}: {trial.enrolment} {trial.test} is called {label}, which names or other trials contradict"
            )
    untold = sorted({groups.first(name) for name in groups.above} - told.keys(), key=byte_order)
    told |= {name: f"s{number:06d}" for number, name in enumerate(untold, start=1)}
    return {name: told[groups.first(name)] for name in list(groups.above)}


def _side(trial: ListedTrial, models: Mapping[str, Sequence[str]], path: Path) -> str:
    """A recording of the enrolment side."""
    if not models:
        return trial.enrolment
    if trial.enrolment not in models:
        raise DataDirError(f"{path}:{trial.number}: model {trial.enrolment} is not in the enrolment list")
    return models[trial.enrolment][0]


def _told(groups: _Groups) -> dict[str, str]:
    """Speakers of the groups in which names tell them; raises DataDirError if they tell two."""
    told: dict[str, str] = {}
    for name in list(groups.above):
        if match := SPEAKER.search(name):
            root = groups.first(name)
            if told.setdefault(root, match[1]) != match[1]:
                raise DataDirError(
                    f"{name}: target trials or a model join it with {root}, which is of {told[root]} by its name"
                )
    return told


def utterance_of(name: str, speaker: str) -> str:
    """Utterance id of a recording's name: `id10001/1zcIwhmdeo4/00001.wav` is id10001-1zcIwhmdeo4-00001."""
    key = "-".join(part for part in bare_name(name).split("/") if part not in ("", ".", ".."))
    return key if key.startswith(f"{speaker}-") else f"{speaker}-{key}"
