"""Numbers that every platform draws alike, for golden values; and the golden files of Kaldi's back end, read."""

import gzip
import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sv.kaldi import Trials
from sv.models.rawnet.rawnet3 import PRE_EMPHASIS
from sv.models.rawnet.sincnet import SincFilters, sinc_filters, sinc_pairs

GOLDEN = Path(__file__).parents[1] / "golden" / "kaldi_plda"
RAWNET_KEYS = Path(__file__).parents[1] / "golden" / "rawnet" / "keys.json"


def _hashed_uniform(key: int, count: int) -> np.ndarray:
    mask = np.uint64(0xFFFFFFFF)
    values = np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64((key + 1) * 97531)
    values &= mask
    values ^= values >> np.uint64(16)
    values = (values * np.uint64(2246822519)) & mask
    values ^= values >> np.uint64(13)
    return values / 2.0**32


def _hashed(key: int, shape: tuple[int, ...]) -> np.ndarray:
    return 2 * _hashed_uniform(key, int(np.prod(shape))).reshape(shape) - 1


@pytest.fixture(scope="session")
def hashed_uniform() -> Callable[[int, int], np.ndarray]:
    """(key, count) -> float64 numbers in [0, 1), an integer hash of key and index."""
    return _hashed_uniform


@pytest.fixture(scope="session")
def hashed() -> Callable[[int, tuple[int, ...]], np.ndarray]:
    """(key, shape) -> float64 numbers in [-1, 1), row-major."""
    return _hashed


def lines_of(name: str) -> list[str]:
    path = GOLDEN / name
    return (
        path.read_text() if path.exists() else gzip.decompress((GOLDEN / f"{name}.gz").read_bytes()).decode()
    ).splitlines()


def _vectors(name: str) -> dict[str, np.ndarray]:
    fields = (line.split() for line in lines_of(f"{name}.ark.txt"))
    return {key: np.array(values, dtype=np.float32) for key, _, *values, _ in fields}


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def golden_vectors() -> Callable[[str], dict[str, np.ndarray]]:
    """(train, eval or adapt) -> vectors by utterance."""
    return _vectors


@pytest.fixture(scope="session")
def golden_scores() -> Callable[[str], tuple[Trials, np.ndarray]]:
    """(name of a score file) -> its trials, without labels, and scores."""

    def read(name: str) -> tuple[Trials, np.ndarray]:
        enrolment, test, scores = zip(*(line.split() for line in lines_of(name)))
        return Trials(list(enrolment), list(test), np.zeros(len(scores), dtype=bool)), np.array(scores, dtype=float)

    return read


@pytest.fixture(scope="session")
def golden_lists() -> Callable[[str], dict[str, list[str]]]:
    """(name of a table) -> its fields by key."""
    return lambda name: {key: rest for key, *rest in map(str.split, lines_of(name))}


def _seeded_uniform(seed: int, count: int) -> np.ndarray:
    return 2 * np.random.Generator(np.random.PCG64(seed)).random(count) - 1


@pytest.fixture(scope="session")
def seeded_uniform() -> Callable[[int, int], np.ndarray]:
    """(seed, count) -> float64 numbers in [-1, 1)."""
    return _seeded_uniform


def _published_value(name: str, shape: list[int], sinc: SincFilters) -> Tensor:
    last, values = name.split(".")[-1], _seeded_uniform(zlib.crc32(name.encode()), math.prod(shape)).reshape(shape)
    kept = {
        "low_hz_": sinc.low_hz,
        "band_hz_": sinc.band_hz,
        "window_": sinc.window,
        "n_": sinc.angle,
        "flipped_filter": torch.tensor([[[-PRE_EMPHASIS, 1.0]]]),
        "num_batches_tracked": torch.tensor(0),
    }
    if last in kept:
        return kept[last].detach().clone()
    if last == "running_var":
        values = 1 + 0.25 * values
    elif last in ("running_mean", "beta") or last.startswith("bias"):
        values = 0.1 * values
    elif last in ("gamma", "alpha") or (last == "weight" and len(shape) == 1):
        values = 1 + 0.1 * values
    else:
        values = values * math.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32)) if shape else torch.tensor(float(values))


@pytest.fixture(scope="session")
def published_weights() -> Callable[[str], dict[str, Tensor]]:
    """Name in keys.json -> a state dict of the published model, each value drawn by its name."""
    shapes = json.loads(RAWNET_KEYS.read_text())

    def build(system: str) -> dict[str, Tensor]:
        sinc = sinc_pairs(128, 10) if system == "rawnet3" else sinc_filters(128)
        return {name: _published_value(name, shape, sinc) for name, shape in shapes[system].items()}

    return build


@pytest.fixture(scope="session")
def published_waveforms() -> Callable[..., Tensor]:
    """(samples, batch=2) -> float32 features (batch, 1, samples): two tones and noise."""

    def build(num_samples: int, batch: int = 2) -> Tensor:
        seconds = np.arange(num_samples) / 16_000
        rows = [
            0.3 * np.sin(2 * np.pi * (150 + 40 * i) * seconds)
            + 0.2 * np.sin(2 * np.pi * (1130 + 70 * i) * seconds + 0.5)
            + 0.1 * _seeded_uniform(7 + i, num_samples)
            for i in range(batch)
        ]
        return torch.from_numpy(np.stack(rows)[:, None].astype(np.float32))

    return build
