"""The waveform itself, for models that learn their front end."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class WaveformConfig:
    """Nothing to choose: samples at 16 kHz in [-1, 1); what a model wants done to them is the model's."""


class Waveform(nn.Module):
    """Waveforms as maps with one row, so that waveform models are models on features."""

    def __init__(self, config: WaveformConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) to (batch, 1, samples)."""
        return waveforms[:, None]
