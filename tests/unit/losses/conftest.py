"""Inputs that the reference implementations were run on."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor


def _chirp(count: int, a: float, b: float, c: float) -> Tensor:
    t = np.arange(count)
    return torch.from_numpy(np.sin(a * t**2 + b * t + c))


@pytest.fixture(scope="session")
def chirp() -> Callable[..., Tensor]:
    """(count, a, b, c) -> sin(a t^2 + b t + c), (count,) float64."""
    return _chirp


@pytest.fixture(scope="session")
def speech_like() -> Callable[..., Tensor]:
    """(speakers, utterances, dim) -> float64 embeddings of that shape, those of a speaker alike."""

    def build(speakers: int, utterances: int, dim: int) -> Tensor:
        common = _chirp(speakers * dim, 0.37, 0.5, 0.1).reshape(speakers, 1, dim)
        own = _chirp(speakers * utterances * dim, 0.11, 0.9, 0.2).reshape(speakers, utterances, dim)
        return 0.6 * common + 0.8 * own

    return build


@pytest.fixture(scope="session")
def class_weight() -> Tensor:
    """Class vectors of five speakers, (5, 6)."""
    return _chirp(30, 0.23, 0.7, 0.4).reshape(5, 6)
