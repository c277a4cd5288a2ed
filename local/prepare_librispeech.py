#!/usr/bin/env python3
"""A part of LibriSpeech -> data directory librispeech_<part>, with trials drawn from it: four of each kind an utterance.

    local/prepare_librispeech.py --part dev-clean /corpora/LibriSpeech data

Reads <part>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac (or .wav); the files' names are the utterance ids, the
chapter is the session. Target partners may be of the same chapter, which makes them easier than VoxCeleb1's.
"""

import argparse

import numpy as np

from local.corpora import Corpus
from sv.data.corpus import Source, audio_files, run_preparation, write_set
from sv.data.trial_lists import trial_list
from sv.kaldi.scp import DataDirError, read_utt2spk
from sv.kaldi.trials import Trials, write_trials

CORPUS = Corpus(
    folders=("LibriSpeech", "librispeech"),
    how_to_get="https://www.openslr.org/12: one part is enough, for instance dev-clean",
    layouts=(("*/*/*/*-*-*.flac", "as published"), ("*/*/*/*-*-*.wav", "as wav")),
)


def find_sources(folder) -> list[Source]:
    """Find the recordings, one source per file."""
    sources = []
    for path in audio_files(folder):
        parts = path.relative_to(folder).parts
        if len(parts) != 3 or not path.stem.startswith(f"{parts[0]}-{parts[1]}-"):
            raise DataDirError(f"{path}: expected {folder}/<speaker>/<chapter>/<speaker>-<chapter>-<number>")
        sources.append(Source(utterance=path.stem, speaker=parts[0], path=str(path)))
    return sources


def prepare(args: argparse.Namespace) -> None:
    """Write the data directory and its trials."""
    folder, out = args.root / args.part, args.data / f"librispeech_{args.part}"
    if not folder.is_dir():
        raise DataDirError(f"{args.root}: no folder {args.part}; is this LibriSpeech?")
    write_set(out, find_sources(folder), nj=args.nj, max_bad=args.max_bad)
    flags, enrolment, test = zip(*trial_list(read_utt2spk(out / "utt2spk"), args.seed))
    write_trials(out / "trials", Trials(list(enrolment), list(test), np.array(flags) == "1"))


if __name__ == "__main__":
    run_preparation(
        prepare,
        __doc__,
        ("--part", {"default": "dev-clean", "help": "of the corpus (%(default)s)"}),
        ("--seed", {"type": int, "default": 0, "help": "of the trials"}),
    )
