#!/usr/bin/env python3
"""The noise of noisy VCTK, noisy less clean -> data directories vctk_noise_train and vctk_noise_test.

    local/prepare_noisy_vctk.py /corpora/noisy_vctk data

Reads the pairs {clean,noisy}_trainset_{28,56}spk_wav and {clean,noisy}_testset_wav of Edinburgh DataShare 10283/2791. Both
parts have noises of their own, so that no noise of the test is heard in training.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from local.corpora import Corpus
from sv.data.audio import BadAudio, load_speech
from sv.data.corpus import Source, audio_files, run_preparation, write_set
from sv.kaldi.scp import DataDirError

CORPUS = Corpus(
    folders=("noisy_vctk",),
    how_to_get="https://datashare.ed.ac.uk/handle/10283/2791: {clean,noisy}_{testset,trainset_28spk}_wav, to noisy_vctk/; "
    "or go without it: --noises noise,music,babble",
    layouts=(("noisy_testset_wav/*.wav", "as published"),),
)

PARTS = {"train": ("trainset_28spk_wav", "trainset_56spk_wav"), "test": ("testset_wav",)}


def noise_of(source: Source, noisy: np.ndarray, clean_dir: Path) -> np.ndarray:
    """Noise that a noisy recording adds to the clean one of its name; raises BadAudio if they are not a pair."""
    path = clean_dir / Path(source.path).name
    if not path.is_file():
        raise BadAudio(f"no clean recording {path}")
    clean = load_speech(path).samples
    if len(clean) != len(noisy):
        raise BadAudio(f"{len(noisy)} samples at 16 kHz, but {len(clean)} in {path}")
    noise = noisy - clean
    if not noise.any():
        raise BadAudio(f"no noise: the same as {path}")
    return noise


def find_part(root: Path, names: tuple[str, ...]) -> tuple[Path, Path]:
    """Folders of the clean and the noisy recordings."""
    for name in names:
        if (root / f"clean_{name}").is_dir() and (root / f"noisy_{name}").is_dir():
            return root / f"clean_{name}", root / f"noisy_{name}"
    raise DataDirError(f"{root}: no pair of folders {' or '.join(f'{{clean,noisy}}_{name}' for name in names)}")


def prepare(args: argparse.Namespace) -> None:
    """Write both data directories."""
    for part, names in PARTS.items():
        clean, noisy = find_part(args.root, names)
        sources = [Source(utterance=path.stem, speaker=path.stem, path=str(path)) for path in audio_files(noisy)]
        out = args.data / f"vctk_noise_{part}"
        write_set(out, sources, nj=args.nj, max_bad=args.max_bad, edit=partial(noise_of, clean_dir=clean))
        print(f"vctk_noise_{part}: {len(sources)} pairs in {clean.name} and {noisy.name}")


if __name__ == "__main__":
    run_preparation(prepare, __doc__)
