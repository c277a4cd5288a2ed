"""Keys of what `sv embed` is given: files, folders, patterns, lists, tables."""

import codecs
import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sv.base.layout import AUDIO_SUFFIXES, file_stem
from sv.data.audio import is_pipe
from sv.data.utterances import read_utterances
from sv.embed.inputs import has_segments
from sv.kaldi import DataDirError, read_scp
from sv.kaldi.scp import byte_order, text_rows

LISTS = (".txt", ".lst", ".list")


def named_inputs(paths: Sequence[Path], skip_missing: bool = False) -> dict[str, tuple[str, Path]]:
    """Inputs of the command line by key, in byte order: (file, `file:offset` or pipe; the file or table that names it).

    A file's key is its name without suffix. If two would have one key, those of all files are their paths below the folder
    that all share, `speaker-session-00001`. A folder stands for its wav.scp or, without, for all audio files in it; a
    pattern like `corpus/*/*.wav` for what it matches, `**` being any number of folders; a text file for the audio files on
    its lines; a wav.scp with segments beside it names the segments. Relative paths start where the command is run.

    Parameters
    ----------
    paths : sequence of path
    skip_missing : bool
        Keep the paths of a list that are not there, which reading refuses one by one.

    Raises
    ------
    DataDirError
        If a key or file appears twice, a folder holds no audio, a pattern matches nothing, a list names what is no file, or
        a table is malformed.
    """
    tables: list[Path] = []
    files: dict[Path, Path] = {}
    for path in (match for given in paths for match in _matches(given)):
        if path.is_dir() and (path / "wav.scp").is_file():
            tables.append(path / "wav.scp")
        elif path.suffix == ".scp" and not path.is_dir():
            tables.append(path)
        else:
            for file, source in _files_of(path, skip_missing):
                if file in files:
                    raise DataDirError(f"{file}: given twice")
                files[file] = source
    named = {key: (str(path), files[path]) for path, key in keys_of(list(files)).items()}
    for path in tables:
        for key, location in _read_table(path).items():
            if key in named:
                raise DataDirError(f"{path}: key {key!r} appears twice; rename it in one of the tables")
            named[key] = (location, path)
    return {key: named[key] for key in sorted(named, key=byte_order)}


def _matches(path: Path) -> list[Path]:
    """The path itself or, if there is none and it is a pattern, all that matches it and lies in no folder that does."""
    if os.path.lexists(path) or not glob.has_magic(str(path)):
        return [path]
    found = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 (hides what a shell hides)
    if not found:
        raise DataDirError(f"{path}: matches nothing")
    folders = {match for match in found if match.is_dir()}
    return [match for match in found if folders.isdisjoint(match.parents)]


def _files_of(path: Path, skip_missing: bool) -> Iterator[tuple[Path, Path]]:
    """Yield the audio files that an argument stands for, each with what names it."""
    if path.is_dir():
        yield from ((file, file) for file in files_below(path))
    elif is_list(path):
        yield from ((file, path) for file in _listed(path, skip_missing))
    else:
        yield path, path


def is_list(path: Path) -> bool:
    """True for a list of files: told by its suffix or, if that is neither a list's nor audio's, by being text or a pipe."""
    suffix = path.suffix.lower()
    if suffix in AUDIO_SUFFIXES:
        return False
    if suffix in LISTS or path.is_fifo():
        return True
    try:
        with path.open("rb") as file:
            head = file.read(4096)
        return b"\0" not in head and bool(codecs.getincrementaldecoder("utf-8")().decode(head).strip())
    except (OSError, UnicodeDecodeError):
        return False


def _listed(path: Path, skip_missing: bool) -> list[Path]:
    found = []
    for number, text in text_rows(path):
        file = Path(text.strip())
        if file.is_dir():
            raise DataDirError(f"{path}:{number}: {file} is a folder; a list names files, give the folder itself")
        if not file.is_file() and (is_pipe(str(file)) or not skip_missing):
            raise DataDirError(
                f"{path}:{number}: no file {str(file)[:200]!r}; a list has one path a line, from {Path.cwd()} if relative"
            )
        found.append(file)
    if not found:
        raise DataDirError(f"{path}: no file in this list")
    return found


def _read_table(path: Path) -> dict[str, str]:
    if has_segments(path):
        return {utt: utterance.path for utt, utterance in read_utterances(path.parent).items()}
    return read_scp(path)


def files_below(folder: Path) -> list[Path]:
    """Audio files in a folder at any depth, told by their suffix, hidden ones left out; raises DataDirError if none."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(place) / name
            for name in sorted(names)
            if Path(name).suffix.lower() in AUDIO_SUFFIXES and name[0] != "."
        ]
    if not found:
        raise DataDirError(f"{folder}: no audio file and no wav.scp in it")
    return found


def keys_of(files: Sequence[Path]) -> dict[Path, str]:
    """Keys of audio files, by one rule for all of them; raises DataDirError if a file is given twice."""
    absolute = [Path(os.path.normpath(path.absolute())) for path in files]  # links are not followed: their names count
    twice = [str(path) for path, count in Counter(absolute).items() if count > 1]
    if twice:
        raise DataDirError(f"{twice[0]}: given twice")
    if not files:
        return {}
    shared = Path(os.path.commonpath([path.parent for path in absolute]))
    below = [path.relative_to(shared) for path in absolute]
    rules: tuple[Callable[[Path], str], ...] = (
        lambda path: one_word(path.stem),
        lambda path: "-".join(one_word(part) for part in path.with_suffix("").parts),
        lambda path: file_stem(str(path)),  # never the same for two
    )
    for rule in rules:
        keys = [rule(path) for path in below]
        if len(set(keys)) == len(keys):
            break
    return dict(zip(files, keys))


def one_word(text: str) -> str:
    """A name as a key: white space and control characters are percent-encoded, as keys are one word."""
    return "".join(
        "".join(f"%{byte:02X}" for byte in character.encode()) if character.isspace() or character < " " else character
        for character in text
    )
