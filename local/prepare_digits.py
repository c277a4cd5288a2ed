#!/usr/bin/env python3
"""Spoken digits, each said many times by every speaker -> data directory digits, for text-dependent trials.

    local/prepare_digits.py /corpora/fsdd data

Reads recordings/<digit>_<speaker>_<take>.wav of the Free Spoken Digit Dataset; utterance ids are <speaker>-<digit>-<take>.
"""

import argparse
import re

from local.corpora import Corpus
from sv.data.corpus import Source, audio_files, run_preparation, write_set
from sv.kaldi.scp import DataDirError

CORPUS = Corpus(
    folders=("fsdd", "free-spoken-digit-dataset"),
    how_to_get="https://github.com/Jakobovski/free-spoken-digit-dataset, to fsdd/ with recordings/ in it",
    layouts=(("recordings/*.wav", "as published"),),
)

NAME = re.compile(r"(\d)_([a-z]+)_(\d+)")


def find_sources(folder) -> list[Source]:
    """Find the recordings, one source per file."""
    sources = []
    for path in audio_files(folder):
        match = NAME.fullmatch(path.stem)
        if not match:
            raise DataDirError(f"{path}: expected <digit>_<speaker>_<take>, as 7_jackson_32")
        digit, speaker, take = match.groups()
        sources.append(Source(utterance=f"{speaker}-{digit}-{int(take):03d}", speaker=speaker, path=str(path)))
    return sources


def prepare(args: argparse.Namespace) -> None:
    """Write the data directory."""
    if not (args.root / "recordings").is_dir():
        raise DataDirError(f"{args.root}: no folder recordings; is this the Free Spoken Digit Dataset?")
    write_set(args.data / "digits", find_sources(args.root / "recordings"), nj=args.nj, max_bad=args.max_bad)


if __name__ == "__main__":
    run_preparation(prepare, __doc__)
