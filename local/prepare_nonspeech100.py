#!/usr/bin/env python3
"""Nonspeech100 (Hu and Wang) on disk -> data directory nonspeech100: sounds for tests only, at 16 kHz.

local/prepare_nonspeech100.py /corpora/Nonspeech100 data
"""

import argparse

from local.corpora import Corpus
from sv.data.corpus import Source, audio_files, run_preparation, write_set

CORPUS = Corpus(
    folders=("Nonspeech100", "nonspeech100"),
    how_to_get="http://web.cse.ohio-state.edu/pnl/corpus/HuNonspeech/HuCorpus.html; or go without it: "
    "--noises noise,music,babble",
    layouts=(("*.wav", "flat"), ("*/*.wav", "in folders")),
    optional=True,
    needed_for="nonspeech",
)


def prepare(args: argparse.Namespace) -> None:
    """Write the data directory."""
    sources = [Source(utterance=path.stem, speaker=path.stem, path=str(path)) for path in audio_files(args.root)]
    write_set(args.data / "nonspeech100", sources, nj=args.nj, max_bad=args.max_bad)


if __name__ == "__main__":
    run_preparation(prepare, __doc__)
