"""The waveform itself, for models that learn their front end."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from sv.base.layout import SAMPLING_RATE


@dataclass(frozen=True, kw_only=True)
class WaveformConfig:
    """Samples at 16 kHz in [-1, 1), with nothing to choose; what a model wants done to them is the model's."""

    input_rate: ClassVar[int] = SAMPLING_RATE
    num_mel_bins: ClassVar[None] = None
    shift_ms: ClassVar[None] = None


class Waveform(nn.Module):
    """Waveforms as maps with one row, so that waveform models are models on features."""

    device = torch.device("cpu")  # waveforms stay where they are

    def __init__(self, config: WaveformConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) to (batch, 1, samples)."""
        return waveforms[:, None]
