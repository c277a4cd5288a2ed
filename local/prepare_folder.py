#!/usr/bin/env python3
"""One folder a speaker, or a table of recordings -> one data directory, named after it unless --name says otherwise.

    local/prepare_folder.py /data/calls data       /data/calls/<speaker>/.../<file>; deeper folders are sessions
    local/prepare_folder.py /data/calls.tsv data   a line a recording, below a header of path, speaker, session, gender

Any audio file that libsndfile or FFmpeg reads, of any rate and number of channels. Of a table (tsv or csv) session and gender
may be left out or empty, and paths are below its folder. Utterance ids are <speaker>-<session>-<file>; what is no letter or
digit is encoded in each, so that no two recordings share an id. Sessions are written to utt2session, genders to spk2gender.
"""

import argparse
import csv
import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from local.corpora import Corpus
from sv.base.layout import AUDIO_SUFFIXES, id_of
from sv.data.corpus import Checked, Source, audio_files, run_preparation, write_set
from sv.kaldi.scp import DataDirError, check_value, read_utt2spk, text_rows, write_table

CORPUS = Corpus(
    folders=("own",),
    how_to_get="one folder a speaker with recordings in it, at any depth; or a table of path, speaker, session",
    layouts=(("*/**/*", "a folder a speaker"),),
)

COLUMNS = ("path", "speaker", "session", "gender")
NEEDED = 2  # columns, the first ones
NO_SPEAKERS = frozenset(  # names of folders that sort speakers, of which none is one
    "train dev test val valid validation eval wav wavs flac audio data speech male female men women m f".split()
)
LAYOUT = "it takes one folder a speaker, with recordings in it at any depth, or a table of path, speaker, session"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A file with the names of its speaker and session; the session is empty where it is not known."""

    path: str
    speaker: str
    session: str = ""
    gender: str = ""
    where: str = ""

    @property
    def utterance(self) -> str:
        """Id of its utterance; that of two files of one name differs only by their folders, of which it tells nothing."""
        names = (self.session, Path(self.path).name) if self.session else (Path(self.path).name,)
        return id_of(self.speaker, *names)


def recordings_in(root: Path) -> tuple[list[Recording], list[Checked]]:
    """Recordings below a folder of speakers, and files that are in no speaker's folder, or whose name no table can hold.

    Raises
    ------
    DataDirError
        If there are none, or the folders are no speakers.
    """
    found, misnamed = [], []
    for path in audio_files(root, AUDIO_SUFFIXES):
        parts = path.relative_to(root).parts
        if any(part.startswith(".") for part in parts):
            continue
        problem = name_problem(path)
        if not problem and len(parts) < 2:
            problem = "in no speaker's folder"
        if problem:
            name = ascii(str(path))[1:-1]
            misnamed.append(Checked(source=Source(utterance=name, speaker=name, path=name), problem=problem))
        else:
            found.append(Recording(path=str(path), speaker=parts[0], session="/".join(parts[1:-1])))
    if not found and not misnamed:
        raise DataDirError(
            f"{root}: no audio files ({', '.join(AUDIO_SUFFIXES[:3])}, {len(AUDIO_SUFFIXES) - 3} other types); {LAYOUT}"
        )
    if not found:
        raise DataDirError(
            f"{root}: {len(misnamed)} recordings, {misnamed[0].problem}: {misnamed[0].source.path}; {LAYOUT}"
        )
    check_speakers(root, found)
    return found, misnamed


def name_problem(path: Path) -> str:
    """Reason why a file's name cannot stand in a table; empty if it can."""
    try:
        check_value(str(path), path)
    except DataDirError:
        return "a line end in its name, or a name that is not UTF-8"
    return ""


def check_speakers(root: Path, found: list[Recording]) -> None:
    """Raise DataDirError for first folders that are no speakers, as far as one can tell."""
    speakers = sorted({one.speaker for one in found})
    if len(speakers) == 1 or NO_SPEAKERS.issuperset(map(str.lower, speakers)):
        below = sorted({one.session.split("/")[0] for one in found if one.session})
        names = "one speaker" if len(speakers) == 1 else "folders that are no speakers"
        hint = f"if those in it are speakers ({', '.join(below[:3])}), give {root / speakers[0]}; " if below else ""
        raise DataDirError(f"{root}: {names}, {', '.join(speakers)}; {hint}{LAYOUT}")


def recordings_of(table: Path) -> list[Recording]:
    """Recordings of a table with a header.

    Raises
    ------
    DataDirError
        Naming the line, for a column or file that is missing, a field that is empty, a file that stands twice.
    """
    rows, found, lines = list(text_rows(table)), [], {}
    if not rows:
        raise DataDirError(f"{table}: empty; expected a header of {', '.join(COLUMNS)}, and a line a recording")
    first, header = rows[0]
    tab = "\t" if "\t" in header else ","
    names = [name.strip().lower() for name in fields_of(header, tab, f"{table}:{first}")]
    if missing := [name for name in COLUMNS[:NEEDED] if name not in names]:
        raise DataDirError(
            f"{table}:{first}: no column {' or '.join(missing)} among {', '.join(names)[:200]}; "
            f"expected a header of {', '.join(COLUMNS)}, of which {' and '.join(COLUMNS[NEEDED:])} may be left out"
        )
    for number, line in rows[1:]:
        where, fields = f"{table}:{number}", fields_of(line, tab, f"{table}:{number}")
        if len(fields) != len(names):
            raise DataDirError(f"{where}: expected {len(names)} fields ({', '.join(names)[:200]}), got {len(fields)}")
        one = recording_of({name: field.strip() for name, field in zip(names, fields)}, table.parent, where)
        if one.path in lines:
            raise DataDirError(f"{where}: {one.path} stands in line {lines[one.path]}, too; a recording has one line")
        lines[one.path] = number
        found.append(one)
    if not found:
        raise DataDirError(f"{table}: a header and no recordings")
    return found


def fields_of(line: str, delimiter: str, where: str) -> list[str]:
    """Fields of a line of a tsv or csv file; raises DataDirError for a quote without its end."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise DataDirError(f"{where}: {error}") from error


def recording_of(row: dict[str, str], folder: Path, where: str) -> Recording:
    """Recording of a table's row; raises DataDirError if a field is empty or there is no such file."""
    for name in COLUMNS[:NEEDED]:
        if not row[name]:
            raise DataDirError(f"{where}: the {name} is empty")
    path = Path(os.path.normpath(folder / row["path"]))
    if not path.is_file():
        raise DataDirError(f"{where}: no such file {path}")
    known = {name: row.get(name, "") for name in COLUMNS[1:]}
    return Recording(path=str(path), where=where, **known)


def genders_of(found: list[Recording]) -> dict[str, str]:
    """Speaker's id to gender, m or f where it begins so; raises DataDirError for a speaker of two."""
    genders: dict[str, str] = {}
    for one in found:
        gender = {"m": "m", "f": "f", "w": "f"}.get(one.gender.lower()[:1], id_of(one.gender))
        if gender and genders.setdefault(id_of(one.speaker), gender) != gender:
            raise DataDirError(f"{one.where}: {one.speaker} is {one.gender}, and of another gender before")
    return genders


def keyed(found: list[Recording]) -> dict[str, Recording]:
    """Recordings by utterance id; those that would share one get a digest of their path at its end."""
    counts = Counter(one.utterance for one in found)
    return {
        one.utterance
        if counts[one.utterance] == 1
        else f"{one.utterance}=~{hashlib.sha256(one.path.encode()).hexdigest()[:16]}": one
        for one in found
    }


def recordings_at(root: Path) -> tuple[dict[str, Recording], list[Checked]]:
    """Recordings of a folder or table by utterance id, and misnamed ones; no audio is read.

    Raises
    ------
    DataDirError
        In one line, if no trials could be made of them.
    """
    found, misnamed = (recordings_of(root), []) if root.is_file() else recordings_in(root)
    speakers = Counter(one.speaker for one in found)
    if len(speakers) == 1:
        raise DataDirError(f"{root}: one speaker, {found[0].speaker}; trials need two at least")
    if max(speakers.values()) == 1:
        raise DataDirError(
            f"{root}: {len(found)} speakers with one recording each; target trials need two of a speaker"
        )
    genders_of(found)
    return keyed(found), misnamed


def prepare(args: argparse.Namespace) -> None:
    """Write the data directory."""
    recordings, misnamed = recordings_at(args.root)
    out = args.data / (args.name or id_of(args.root.stem if args.root.is_file() else args.root.name))
    sources = [Source(utterance=utt, speaker=id_of(one.speaker), path=one.path) for utt, one in recordings.items()]
    genders = genders_of(list(recordings.values()))
    write_set(out, sources, nj=args.nj, max_bad=args.max_bad, spk2gender=genders, misnamed=misnamed)
    utt2spk = read_utt2spk(out / "utt2spk")
    sessions = {utt: id_of(recordings[utt].session) if recordings[utt].session else utt for utt in utt2spk}
    known = len({(utt2spk[utt], name) for utt, name in sessions.items() if name != utt})
    (out / "utt2session").unlink(missing_ok=True)
    if known:
        write_table(out / "utt2session", sessions)
    print(
        f"{out.name}: {len(utt2spk)} recordings of {len(set(utt2spk.values()))} speakers in {known or 'unknown'} sessions"
    )


if __name__ == "__main__":
    run_preparation(prepare, __doc__, ("--name", {"help": "of the data directory", "default": ""}))
