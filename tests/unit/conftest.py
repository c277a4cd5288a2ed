"""Numbers that every platform draws alike, for golden values."""

from collections.abc import Callable

import numpy as np
import pytest


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
