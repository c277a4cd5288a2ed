"""Keys of what `sv embed` is given: files, folders, tables."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from sv.base.layout import AUDIO_SUFFIXES, file_stem
from sv.data.utterances import read_utterances
from sv.embed.inputs import has_segments
from sv.kaldi import DataDirError, read_scp
from sv.kaldi.scp import byte_order


def named_inputs(paths: Sequence[Path]) -> dict[str, tuple[str, Path]]:
    """Inputs of the command line by key, in byte order: (file, `file:offset` or pipe; the argument that names it).

    A file's key is its name without suffix. If two would have one key, those of all files are their paths below the folder
    that all share, `speaker-session-00001`. A folder stands for its wav.scp or, without, for all audio files in it; a
    wav.scp with segments beside it names the segments.

    Raises
    ------
    DataDirError
        If a key or file appears twice, a folder holds no audio, or a table is malformed.
    """
    tables, files = [], []
    for path in paths:
        if path.is_dir() and not (path / "wav.scp").is_file():
            files += files_below(path)
        elif path.is_dir():
            tables.append(path / "wav.scp")
        else:
            (tables if path.suffix == ".scp" else files).append(path)
    named: dict[str, tuple[str, Path]] = {key: (str(path), path) for path, key in keys_of(files).items()}
    for path in tables:
        for key, location in _read_table(path).items():
            if key in named:
                raise DataDirError(f"{path}: key {key!r} appears twice; rename it in one of the tables")
            named[key] = (location, path)
    return {key: named[key] for key in sorted(named, key=byte_order)}


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
