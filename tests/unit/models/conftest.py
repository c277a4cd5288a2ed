"""Models with golden weights, and their golden input."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sv.models import MODELS

Hash = Callable[[int, int], np.ndarray]


def _golden_value(name: str, like: Tensor, uniform: np.ndarray) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(())
    if name.endswith(("running_mean", ".bias")):
        return 0.1 * (2 * uniform - 1)
    if name.endswith(".g"):  # gates, which start at 0
        return np.full(like.shape, 0.5)
    if like.ndim == 1:
        return 0.75 + 0.5 * uniform
    return (2 * uniform - 1) * math.sqrt(3 * like.shape[0] / like.numel())


@pytest.fixture(scope="session")
def golden_model(hashed_uniform: Hash) -> Callable[[str], nn.Module]:
    """Name -> the model in float64, its weights drawn by the position of their sorted names."""

    def build(name: str) -> nn.Module:
        config, model_class = MODELS[name]
        model = model_class(config()).double()
        state = model.state_dict()
        for key, parameter in enumerate(sorted(state)):
            like = state[parameter]
            value = _golden_value(parameter, like, hashed_uniform(key, like.numel()).reshape(tuple(like.shape)))
            like.copy_(torch.as_tensor(value))
        return model.eval()

    return build


@pytest.fixture(scope="session")
def golden_features(hashed: Callable[[int, tuple[int, ...]], np.ndarray]) -> Callable[..., Tensor]:
    """(frames, batch=2) -> float64 features like log-mels, (batch, 64, frames)."""

    def build(frames: int, batch: int = 2) -> Tensor:
        utterance, mel, frame = np.meshgrid(*(np.arange(size) for size in (batch, 64, frames)), indexing="ij")
        waves = np.sin(0.17 * (mel + 1) + 0.9 * utterance) * np.cos(0.05 * (frame + 1))
        return torch.from_numpy(-6 + 3 * waves + 0.5 * hashed(999, (batch, 64, frames)))

    return build
