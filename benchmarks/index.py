#!/usr/bin/env python3
"""From a data directory as large as VoxCeleb2 to the first training batches: seconds, and memory of each process.

python benchmarks/index.py
"""

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from common import print_table

from sv.base.layout import SAMPLING_RATE
from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.data.dataset import TrainingSet, UtteranceIndex, load_batches
from sv.data.sampler import PairSampler, PairsConfig
from sv.kaldi.data_dir import write_data_dir

NUM_SPEAKERS, NUM_UTTERANCES = 5994, 184  # of each speaker; 1.1 million in all
NUM_FILES = 8  # which they share
SECONDS = 8
PAIRS_PER_BATCH, NUM_WORKERS, NUM_BATCHES = 60, 2, 20
CROP = 40_880  # samples; ExU-Net's
AIM_SECONDS, AIM_GB = 10, 1.0


def write_speech(path: Path) -> None:
    """A data directory of 1.1 million utterances, line by line, so that making it takes no memory of ours."""
    path.mkdir()
    rng = np.random.default_rng(0)
    files = [path / f"{number}.wav" for number in range(NUM_FILES)]
    for file in files:
        soundfile.write(file, 0.1 * rng.standard_normal(SECONDS * SAMPLING_RATE), SAMPLING_RATE)
    with (path / "wav.scp").open("w") as scp, (path / "utt2spk").open("w") as spk, (path / "utt2dur").open("w") as dur:
        for speaker in range(NUM_SPEAKERS):
            for number in range(NUM_UTTERANCES):
                utterance = f"id{speaker:05d}-{number // 20:011d}-{number:05d}"
                scp.write(f"{utterance} {files[number % NUM_FILES]}\n")
                spk.write(f"{utterance} id{speaker:05d}\n")
                dur.write(f"{utterance} {float(SECONDS)!r}\n")


def write_noise(path: Path) -> None:
    """A data directory of one noise recording."""
    path.mkdir()
    soundfile.write(
        path / "noise.wav", 0.1 * np.random.default_rng(1).standard_normal(30 * SAMPLING_RATE), SAMPLING_RATE
    )
    write_data_dir(
        path, wav_scp={"noise": str(path / "noise.wav")}, utt2spk={"noise": "noise"}, utt2dur={"noise": 30.0}
    )


def peak_gb(pid: int | str = "self") -> float:
    """Largest resident memory that a process has had, shared pages included."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1e6


def milestones(folder: Path) -> Iterator[str]:
    """Start training input, yielding the name of each part when it is done."""
    index = UtteranceIndex(folder / "speech")
    yield "data directory opened"
    sampler = PairSampler(index.speaker_ids, PairsConfig(pairs_per_batch=PAIRS_PER_BATCH), seed=0)
    plan = sampler.epoch(0)
    yield "epoch planned"
    noise = NoiseLibrary({"noise": folder / "noise"})
    dataset = TrainingSet(index, CROP, AugmentConfig(noises=("noise",)), noise, seed=0)
    batches = load_batches(dataset, plan, NUM_WORKERS)
    next(batches)
    yield "first batch"
    for _ in range(NUM_BATCHES - 1):
        next(batches)
    yield f"batch {NUM_BATCHES}"


def main() -> None:
    """Make the data directory, start training input from it, and print time and memory along the way."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_speech(folder / "speech")
        write_noise(folder / "noise")
        rows = [["imports", "", f"{peak_gb():.2f}", ""]]
        started = time.perf_counter()
        for part in milestones(folder):
            workers = [f"{peak_gb(child.pid):.2f}" for child in multiprocessing.active_children()]
            rows.append([part, f"{time.perf_counter() - started:.1f}", f"{peak_gb():.2f}", " ".join(workers)])
    title = (
        f"{NUM_SPEAKERS * NUM_UTTERANCES} utterances (aim: first batch within {AIM_SECONDS} s, {AIM_GB:g} GB a process)"
    )
    print_table(title, ["after", "seconds", "peak GB, main", "peak GB, workers"], rows)


if __name__ == "__main__":
    main()
