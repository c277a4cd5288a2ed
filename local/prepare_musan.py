#!/usr/bin/env python3
"""MUSAN on disk -> data directories musan_{noise,music,speech}_{train,test}.

    local/prepare_musan.py /corpora/musan data

Halves by the last four digits of the file name, as the published ExU-Net code splits it: even for training, odd for
tests. Recordings are their own speakers.
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


def half_of(path: Path) -> str:
    """Half that a file belongs to: train or test."""
    match = re.search(r"(\d{4})$", path.stem)
    if not match:
        raise DataDirError(f"{path}: expected a file name that ends in four digits, as MUSAN's do")
    return "test" if int(match[1]) % 2 else "train"


def prepare(args: argparse.Namespace) -> None:
    """Write the six data directories."""
    for category in CATEGORIES:
        halves: dict[str, list[Source]] = {"train": [], "test": []}
        for path in audio_files(args.root / category):
            halves[half_of(path)].append(Source(utterance=path.stem, speaker=path.stem, path=str(path)))
        for half, sources in halves.items():
            write_set(args.data / f"musan_{category}_{half}", sources, nj=args.nj, max_bad=args.max_bad)


if __name__ == "__main__":
    run_preparation(prepare, __doc__)
