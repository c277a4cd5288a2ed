"""Contract of the front ends: all that callers may rely on."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class FrontendConfig(Protocol):
    """Configuration of a front end."""

    @property
    def input_rate(self) -> int | None:
        """Sampling rate of the waveforms, in Hz; None of a front end that reads embeddings."""

    @property
    def num_mel_bins(self) -> int | None:
        """Rows of the features; None if they are waveforms or embeddings. It must equal the model's."""

    @property
    def shift_ms(self) -> float | None:
        """Milliseconds between two frames; None if there are no frames at a fixed shift."""


@runtime_checkable
class Frontend(Protocol):
    """Module from waveforms to features; nothing in it is learned."""

    config: FrontendConfig

    @property
    def device(self) -> torch.device:
        """Device that waveforms must be on; the CPU if the front end computes nothing."""

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) in [-1, 1) to (batch, mels, frames); "waveform" to (batch, 1, samples)."""
