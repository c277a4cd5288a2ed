"""Tiny corpora laid out as the real ones, and the scripts of local/ as users call them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run():
    """run(script, *arguments) -> completed process."""

    def call(script, *arguments):
        command = [sys.executable, ROOT / script, *map(str, arguments)]
        env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, env=env)

    return call


def write_speech(path, seconds=0.5, seed=0, rate=16_000, channels=1, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    shape = (int(seconds * rate), channels) if channels > 1 else int(seconds * rate)
    soundfile.write(path, 0.1 * rng.standard_normal(shape), rate, **options)


@pytest.fixture
def speech():
    return write_speech


@pytest.fixture
def voxceleb1(tmp_path):
    """Two dev and two test speakers with two videos of one file each, 0.5 s."""
    root = tmp_path / "voxceleb1"
    for split, speakers in (("dev", ("id20001", "id20002")), ("test", ("id10001", "id10002"))):
        for i, speaker in enumerate(speakers):
            for j, video in enumerate(("aaaaaaaaaaa", "bbbbbbbbbbb")):
                write_speech(root / split / "wav" / speaker / video / "00001.wav", 0.5 + 0.1 * j, seed=10 * i + j)
    (root / "veri_test2.txt").write_text(
        "1 id10001/aaaaaaaaaaa/00001.wav id10001/bbbbbbbbbbb/00001.wav\n"
        "0 id10001/aaaaaaaaaaa/00001.wav id10002/bbbbbbbbbbb/00001.wav\n"
    )
    (root / "vox1_meta.csv").write_text(
        "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\nid10001\tA\tm\tUK\ttest\nid20002\tB\tf\tUK\tdev\n"
    )
    return root
