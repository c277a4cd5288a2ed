"""Training a GE2E system by the command: two ranks are one process, and a continued run is an unbroken one, to the bit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sv.data.manifests import write_manifests
from sv.kaldi import Trials, write_data_dir, write_trials
from sv.kaldi.enrolment import write_enrolment

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
[features]
type = "slaney_mel"
sampling_rate = 8000
[model]
type = "ge2e_lstm"
hidden = 12
projection = 6
num_layers = 2
[loss]
type = "ge2e"
min_samples = 6000
projection_grad_scale = 0.5
[batches]
type = "speakers"
speakers_per_batch = 4
utterances_per_speaker = 3
[train]
num_epochs = {num_epochs}
crop_samples = 8000
optimizer = "sgd"
momentum = 0.0
lr = 0.05
lr_decay = 0.5
lr_decay_steps = 3
weight_decay = 0.0
max_grad_norm = 3.0
num_workers = 0
log_interval = 1
[augment]
noises = ["noise"]
[extract]
segment_samples = 8000
"""


def tones(folder: Path, utt2spk: dict[str, str], seed: int) -> None:
    """A data directory in which every speaker has a pitch."""
    rng, paths = np.random.default_rng(seed), {}
    pitch = {speaker: 100 * 1.3**i for i, speaker in enumerate(dict.fromkeys(utt2spk.values()))}
    (folder / "wav").mkdir(parents=True)
    for utt, speaker in utt2spk.items():
        paths[utt] = str(folder / "wav" / f"{utt}.wav")
        time = np.arange(10_000) / 16_000
        harmonics = sum(np.sin(2 * np.pi * pitch[speaker] * k * time + rng.uniform(0, 6)) / k for k in range(1, 6))
        soundfile.write(paths[utt], 0.1 * harmonics + 0.01 * rng.standard_normal(10_000), 16_000, subtype="PCM_16")
    write_data_dir(folder, wav_scp=paths, utt2spk=utt2spk, utt2dur=dict.fromkeys(utt2spk, 10_000 / 16_000))
    write_manifests(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five speakers to train on, two to validate with, enrolled from two utterances; and noise."""
    data = tmp_path_factory.mktemp("data")
    tones(data / "train", {f"s{s}-{n}": f"s{s}" for s in range(5) for n in range(6)}, 0)
    tones(data / "valid", {f"v{s}-{n}": f"v{s}" for s in range(2) for n in range(3)}, 1)
    tones(data / "noise", {f"n{n}": f"n{n}" for n in range(3)}, 2)
    write_enrolment(data / "valid", {f"v{s}": [f"v{s}-0", f"v{s}-1"] for s in range(2)})
    pairs = [(f"v{s}", f"v{t}-2", s == t) for s in range(2) for t in range(2)]
    models, utts, labels = zip(*pairs)
    write_trials(data / "valid/trials", Trials(list(models), list(utts), np.array(labels)))
    return data


def train(data: Path, exp: Path, num_epochs: int, num_ranks: int = 1) -> Path:
    """Train, and return the last checkpoint."""
    exp.parent.mkdir(exist_ok=True)
    config = exp.parent / "ge2e.toml"
    config.write_text(CONFIG.format(num_epochs=num_epochs))
    command = ["-m", "sv.bin.train"]
    if num_ranks > 1:
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_ranks), *command]
    options = ["--config", config, "--train-dir", data / "train", "--valid-dir", data / "valid"]
    options += ["--noise-dir", f"noise={data}/noise", "--exp-dir", exp]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command, *options], capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return sorted((exp / "checkpoints").glob("step-*.pt"))[-1]


def test_two_ranks_and_a_continued_run_end_where_one_unbroken_process_does(data, tmp_path):
    whole = train(data, tmp_path / "a" / "exp", num_epochs=4)
    train(data, tmp_path / "b" / "exp", num_epochs=2)
    continued = train(data, tmp_path / "b" / "exp", num_epochs=4)
    shared = train(data, tmp_path / "c" / "exp", num_epochs=4, num_ranks=2)
    one, two, three = (torch.load(path, weights_only=False) for path in (whole, continued, shared))
    assert one["step"] == two["step"] == three["step"] == 8
    assert one["optimizer"]["param_groups"] == two["optimizer"]["param_groups"]
    for name, value in one["system"].items():
        assert torch.equal(two["system"][name], value), name
        torch.testing.assert_close(three["system"][name], value, rtol=1e-4, atol=1e-5, msg=name)
    moved = float((one["system"]["criterion.scale"] - 10).abs())
    assert 0 < moved < 0.1  # its gradient is scaled by a hundredth
