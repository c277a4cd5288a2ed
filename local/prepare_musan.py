#!/usr/bin/env python3
"""MUSAN on disk -> data directories musan_{noise,music,speech}_{train,test}.

    local/prepare_musan.py /corpora/musan data

Halves by the last four digits of the file name, as the published ExU-Net code splits it: even for training, odd for
tests; --needs says which of the three must be there. Recordings are their own speakers. Where an earlier tool has cut
them, into files `<recording>-<piece>` or into a folder
of pieces, all pieces of a recording are in its half.
"""

import argparse
import re
from pathlib import Path

from local.corpora import Corpus
from sv.data.corpus import Source, audio_files, run_preparation, write_set
from sv.kaldi.scp import DataDirError

CORPUS = Corpus(
    folders=("musan", "MUSAN"),
    how_to_get="local/download_corpora.py DIR musan, or ./run.sh --download musan (https://www.openslr.org/17, 11 GB)",
    layouts=(("noise/*/*.wav", "as published"),),
)

CATEGORIES = ("noise", "music", "speech")


NUMBERED = re.compile(r"(.*?(?<!\d)\d{4})(?!\d)")  # a recording's name; a piece's goes on


def recording_of(path: Path) -> str:
    """Name of the recording that a file is, or is a piece of."""
    folder, file = NUMBERED.fullmatch(path.parent.name), NUMBERED.match(path.stem)
    if not folder and not file:
        raise DataDirError(
            f"{path}: expected a file name that ends in four digits, as MUSAN's do; "
            "a folder of one's own is --noise NAME=DIR"
        )
    return folder[1] if folder else file[1]


def source_of(path: Path) -> Source:
    """The source of a file; its utterance id begins with the recording's name."""
    recording = recording_of(path)
    utterance = path.stem if path.stem.startswith(recording) else f"{recording}-{path.stem}"
    return Source(utterance=utterance, speaker=recording, path=str(path))


def half_of(recording: str) -> str:
    """Half that a recording belongs to: train or test."""
    return "test" if int(recording[-4:]) % 2 else "train"


def check_root(root: Path) -> None:
    """Raise DataDirError, naming the folder meant if it is below, if none of the categories is there."""
    if any((root / category).is_dir() for category in CATEGORIES):
        return
    for below in sorted(path for path in root.iterdir() if path.is_dir()):
        if any((below / category).is_dir() for category in CATEGORIES):
            raise DataDirError(f"{root}: is the folder above MUSAN; give {below}")
    raise DataDirError(
        f"{root}: none of the folders {', '.join(CATEGORIES)}; is this MUSAN, unpacked? "
        "A folder of one's own is --noise NAME=DIR"
    )


def prepare(args: argparse.Namespace) -> None:
    """Write two data directories for each category that is there, or has to be."""
    check_root(args.root)
    for category in CATEGORIES:
        if category not in args.needs.split(",") and not audio_files(args.root / category):
            continue
        halves: dict[str, list[Source]] = {"train": [], "test": []}
        for path in audio_files(args.root / category):
            source = source_of(path)
            halves[half_of(source.speaker)].append(source)
        for half, sources in halves.items():
            write_set(args.data / f"musan_{category}_{half}", sources, nj=args.nj, max_bad=args.max_bad)


if __name__ == "__main__":
    run_preparation(
        prepare,
        __doc__,
        ("--needs", {"default": ",".join(CATEGORIES), "help": "categories that must be there (%(default)s)"}),
    )
