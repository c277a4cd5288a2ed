"""Layouts of VoxCeleb2 on disk, and the fault of a folder that has none of them, in a line.

Only folders are listed, no recording is read: options are checked by this, too.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sv.kaldi.scp import DataDirError, text_rows

NUM_SPEAKERS = 5994  # of the development set
NUM_PARTS = 8  # of its archive, vox2_dev_aac_partaa to _partah
SUFFIXES = (".wav", ".flac", ".m4a")  # in the order in which they are chosen
ARCHIVE = ("", "vox2_dev_wav", "vox2_dev_aac", "vox2_aac")  # folders that archives may have been unpacked into
FORMATS = ("wav", "flac", "aac", "m4a")
PLACES = tuple(
    "/".join(filter(None, (archive, part, name)))
    for part in ("dev", "")  # beside a folder dev, the others may be the test set's
    for archive in ARCHIVE
    for name in (*FORMATS, "")
)
TEST_PLACES = tuple(f"test/{name}" for name in FORMATS)
KALDI_PLACES = ("", "voxceleb2_dev", "voxceleb2_train")
SPEAKER, OF_VOXCELEB1 = re.compile(r"id\d{5}"), re.compile(r"id1\d{4}")
META = "vox2_meta.csv"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Place of VoxCeleb2's development set, and what lies there.

    Attributes
    ----------
    folder : Path
        Of <speaker>/<video>/<file>.
    speakers : tuple of str
        In byte order.
    suffix : str
        Of the first recordings, one of `SUFFIXES`.
    others : tuple of str
        Other places with recordings, below the corpus' folder.
    """

    folder: Path
    speakers: tuple[str, ...]
    suffix: str
    others: tuple[str, ...]


def find_layout(root: Path) -> Layout:
    """Find the development set below a folder: wav before flac before m4a, dev before what is called by its format alone.

    Raises
    ------
    DataDirError
        In one line: nothing is unpacked, there is no audio, or speakers of others are among it.
    """
    found = {place: speakers for place in PLACES if (speakers := speakers_in(root / place))}
    if not found:
        raise DataDirError(f"{root}: {fault_of(root)}")
    suffixes = {place: first_suffix(root / place, speakers) for place, speakers in found.items()}
    if not any(suffixes.values()):
        place, speakers = next(iter(found.items()))
        raise DataDirError(
            f"{root / place}: {len(speakers)} folders of speakers without audio ({', '.join(SUFFIXES)}); unpack it again"
        )
    usable = [place for place in found if suffixes[place]]
    chosen = min(usable, key=lambda place: SUFFIXES.index(suffixes[place]))  # the first of those that are alike
    refuse_others(root / chosen, found[chosen], test_speakers(root))
    others = tuple(f"{place or '.'} ({len(found[place])} speakers)" for place in usable if place != chosen)
    return Layout(folder=root / chosen, speakers=tuple(found[chosen]), suffix=suffixes[chosen], others=others)


def speakers_in(folder: Path) -> list[str]:
    """Names of the folders that are called as VoxCeleb's speakers, in byte order; none if it is no folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if SPEAKER.fullmatch(entry.name) and entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def first_suffix(folder: Path, speakers: list[str]) -> str:
    """Suffix of the recordings in the first folder that has any, the best if there are several; empty if none has."""
    for speaker in speakers:
        for _, _, names in os.walk(folder / speaker, followlinks=True):
            if there := {Path(name).suffix.lower() for name in names if not name.startswith("._")}.intersection(
                SUFFIXES
            ):
                return min(there, key=SUFFIXES.index)
    return ""


def refuse_others(place: Path, speakers: list[str] | set[str], of_test: set[str]) -> None:
    """Raise DataDirError, in one line, if speakers that may be tested are among those to be trained on."""
    if of_voxceleb1 := sorted(filter(OF_VOXCELEB1.fullmatch, speakers)):
        raise DataDirError(
            f"{place}: {len(of_voxceleb1)} speakers of VoxCeleb1, e.g. {of_voxceleb1[0]}, whose test set is among them; "
            "give VoxCeleb2 (id00012 to id09272) a folder of its own, of links if need be"
        )
    if tested := sorted(of_test.intersection(speakers)):
        raise DataDirError(
            f"{place}: {len(tested)} speakers of VoxCeleb2's test part, e.g. {tested[0]}, by {META}; move them away, as dev "
            "is for training"
        )
    if len(speakers) > NUM_SPEAKERS:
        raise DataDirError(
            f"{place}: {len(speakers)} speakers, more than the {NUM_SPEAKERS} of dev, so VoxCeleb2's test part is among them; "
            f"move it away ({META} in the corpus' folder tells who is in it)"
        )


def fault_of(root: Path) -> str:
    """Reason why a folder without speakers is no VoxCeleb2, and the remedy."""
    files = [path.name for folder in (root, root / "dev") for path in (folder.iterdir() if folder.is_dir() else ())]
    if parts := [name for name in files if re.search(r"vox2.*_part[a-z]+(\.zip)?$", name)]:
        few = f" of {NUM_PARTS}" if len(parts) < NUM_PARTS else ""
        return (
            f"{len(parts)}{few} parts of an archive, not joined and unpacked: cat vox2_dev_aac_part* > vox2_aac.zip; "
            "unzip vox2_aac.zip"
        )
    if archives := sorted(name for name in files if name.endswith((".zip", ".tar", ".tgz", ".tar.gz"))):
        return f"{archives[0]} is not unpacked: there are no folders of speakers, dev/aac/id00012 and so on"
    if any(speakers_in(root / place) for place in TEST_PLACES):
        return "only VoxCeleb2's test part is here; its development set, dev/aac, is for training"
    if (root / "dev/mp4").is_dir() or (root / "mp4").is_dir():
        return "the videos alone are here (mp4); the recordings are in vox2_dev_aac"
    deeper = (path.parent for pattern in ("*/dev/aac", "*/dev/wav", "*/aac", "*/wav") for path in root.glob(pattern))
    hint = next((f"; did you mean {path.parent if path.name == 'dev' else path}?" for path in deeper), "")
    return (
        f"no folders of speakers (id00012 and so on) in dev/aac, dev/wav, aac, wav or itself; is this VoxCeleb2?{hint}"
    )


def kaldi_dir(root: Path) -> Path | None:
    """Kaldi data directory that stands in for the development set; None if there is none."""
    return next((root / place for place in KALDI_PLACES if (root / place / "wav.scp").is_file()), None)


def check_folder(root: Path) -> None:
    """Raise DataDirError, in one line, for a folder that no training set could be made of."""
    if not kaldi_dir(root):
        find_layout(root)


def read_meta(root: Path) -> Iterator[dict[str, str]]:
    """Rows of vox2_meta.csv, in the corpus' folder, meta below it or the folder above; none if there is no such file."""
    path = next((path for place in (".", "meta", "..") if (path := root / place / META).is_file()), None)
    header: list[str] = []
    for number, line in text_rows(path) if path else ():
        fields = [field.strip() for field in re.split("[,\t]", line)]
        if not header:
            header = fields
            if not {"VoxCeleb2 ID", "Gender", "Set"} <= set(header):
                raise DataDirError(
                    f"{path}:{number}: expected columns 'VoxCeleb2 ID', 'Gender' and 'Set', got {line[:200]!r}"
                )
        elif len(fields) != len(header):
            raise DataDirError(f"{path}:{number}: expected {len(header)} columns, got {len(fields)}")
        else:
            yield dict(zip(header, fields, strict=True))


def test_speakers(root: Path) -> set[str]:
    """Speakers of the test part by vox2_meta.csv; empty if it is not there."""
    return {row["VoxCeleb2 ID"] for row in read_meta(root) if row["Set"] == "test"}


def read_genders(root: Path) -> dict[str, str]:
    """Speaker to m or f by vox2_meta.csv; empty if it is not there."""
    return {row["VoxCeleb2 ID"]: row["Gender"].lower()[:1] for row in read_meta(root)}
