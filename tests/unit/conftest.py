"""Numbers that every platform draws alike, for golden values; and the golden files of Kaldi's back end, read."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sv.kaldi import Trials


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


GOLDEN = Path(__file__).parents[1] / "golden" / "kaldi_plda"


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
