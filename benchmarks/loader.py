#!/usr/bin/env python3
"""Training input on one core: ours against lhotse's cuts, from files on disk to a batch of crops.

python benchmarks/loader.py
"""

import os

os.environ.setdefault("LHOTSE_AUDIO_BACKEND", "LibsndfileBackend")  # lhotse looks for its backends on import

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import lhotse
import numpy as np
import soundfile
import torch
from common import median_seconds, print_table
from lhotse.dataset.cut_transforms import CutMix, ReverbWithImpulseResponse
from lhotse.dataset.input_strategies import AudioSamples

from sv.base.layout import SAMPLING_RATE
from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.data.dataset import TrainingSet, UtteranceIndex, collate
from sv.data.manifests import read_cuts, write_manifests
from sv.data.sampler import Item
from sv.kaldi.data_dir import write_data_dir

CROP = 40_880  # samples; ExU-Net's
BATCH = 32
SNR_DB = (0.0, 20.0)
AIM = 2.5


def write_set(path: Path, num_files: int, seconds: tuple[float, float], decay: float = 0.0) -> None:
    """A data directory with manifests of 16-bit wavs of noise, which dies away at `decay` nepers a second."""
    rng, lengths = np.random.default_rng(num_files), {}
    path.mkdir()
    for number in range(num_files):
        num_samples = int(rng.uniform(*seconds) * SAMPLING_RATE)
        envelope = np.exp(-decay * np.arange(num_samples) / SAMPLING_RATE)
        key = f"{path.name}-{number:04d}"
        soundfile.write(path / f"{key}.wav", 0.1 * rng.standard_normal(num_samples) * envelope, SAMPLING_RATE)
        lengths[key] = num_samples / SAMPLING_RATE
    files = {key: str(path / f"{key}.wav") for key in lengths}
    write_data_dir(path, wav_scp=files, utt2spk={key: key for key in lengths}, utt2dur=lengths)
    write_manifests(path)


def our_batches(folder: Path, config: AugmentConfig) -> Callable[[], object]:
    """Read the next batch as training does, in this process."""
    library = NoiseLibrary({"noise": folder / "noise"}, folder / "rirs")
    index = UtteranceIndex(folder / "speech")
    dataset, epochs = TrainingSet(index, CROP, config, library, seed=0), iter(range(10**6))

    def read() -> object:
        epoch = next(epochs)
        rows = np.random.default_rng(epoch).choice(len(index), BATCH, replace=False)
        return collate([dataset[Item(int(row), epoch, config.noise_prob > 0)] for row in rows])

    return read


def lhotse_batches(folder: Path, config: AugmentConfig) -> Callable[[], object]:
    """Read the next batch with lhotse's own transforms and audio loader."""
    speech = list(read_cuts(folder / "speech"))
    noise = read_cuts(folder / "noise").to_eager()
    rirs = [cut.recording for cut in read_cuts(folder / "rirs")]
    transforms, rng, load = [], random.Random(0), AudioSamples()
    if config.reverb_prob:
        transforms.append(ReverbWithImpulseResponse(rirs, p=1.0, randgen=random.Random(0)))
    if config.noise_prob:
        transforms.append(CutMix(noise, snr=SNR_DB, p=1.0, random_mix_offset=True, seed=0))

    def crop(cut: lhotse.cut.Cut) -> lhotse.cut.Cut:
        start = rng.randrange(cut.num_samples - CROP + 1)
        return cut.truncate(offset=start / SAMPLING_RATE, duration=CROP / SAMPLING_RATE)

    def read() -> object:
        cuts = lhotse.CutSet.from_cuts(crop(cut) for cut in rng.sample(speech, BATCH))
        for transform in transforms:
            cuts = transform(cuts)
        return load(cuts.to_eager())

    return read


def main() -> None:
    """Time both in turns for each kind of augmentation, and print what ours gains."""
    torch.set_num_threads(1)
    conditions = {
        "read": AugmentConfig(noise_prob=0.0),
        "noise": AugmentConfig(noises=("noise",), snr_db=SNR_DB),
        "noise + RIR": AugmentConfig(noises=("noise",), snr_db=SNR_DB, reverb_prob=1.0),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_set(folder / "speech", 200, (4, 12))
        write_set(folder / "noise", 50, (10, 60))
        write_set(folder / "rirs", 100, (0.2, 0.8), decay=12)
        cases = {}
        for condition, config in conditions.items():
            cases[f"ours, {condition}"] = our_batches(folder, config)
            cases[f"lhotse, {condition}"] = lhotse_batches(folder, config)
        seconds = median_seconds(cases)
    rows = []
    for condition in conditions:
        ours, theirs = seconds[f"ours, {condition}"], seconds[f"lhotse, {condition}"]
        rows.append([condition, f"{BATCH / ours:.0f}", f"{BATCH / theirs:.0f}", f"{theirs / ours:.2f}", f"{AIM:.1f}"])
    title = f"Training input, one core, crops of {CROP} samples from wavs of 4 to 12 s"
    print_table(title, ["augmented with", "ours, utts/s", "lhotse, utts/s", "times faster", "aim"], rows)


if __name__ == "__main__":
    main()
