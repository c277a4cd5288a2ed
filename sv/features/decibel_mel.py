"""SpeechBrain's filterbank, `speechbrain.lobes.features.Fbank` with its defaults: mel power in dB within a dynamic range."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.base.config import require
from sv.base.layout import SAMPLING_RATE
from sv.features.mel import CentredFrames, MelFrontend, by_waveform, check_band, power_spectrum


@dataclass(frozen=True, kw_only=True)
class DecibelMelConfig(CentredFrames):
    """Mel filterbank in dB: centred frames, Hamming window, HTK mel scale.

    Attributes
    ----------
    sampling_rate : int
        Hz.
    n_fft : int
        FFT length; the window lies in its middle.
    low_hz, high_hz : float
        Edges of the lowest and the highest filter.
    power_floor : float
        Least mel power.
    range_db : float
        Least value below the greatest of the whole waveform, in dB.
    """

    sampling_rate: int = SAMPLING_RATE
    num_mel_bins: int = 80
    n_fft: int = 400
    window_ms: float = 25.0
    shift_ms: float = 10.0
    low_hz: float = 0.0
    high_hz: float = 8000.0
    power_floor: float = 1e-10
    range_db: float = 80.0

    def __post_init__(self) -> None:
        check_band(self.low_hz, self.high_hz, self.sampling_rate)
        self.check_frames()
        require(self, positive=("power_floor", "range_db"))

    @property
    def input_rate(self) -> int:
        """Sampling rate of the waveforms, in Hz."""
        return self.sampling_rate


class DecibelMel(MelFrontend):
    """Waveforms to mel features in dB; nothing is learned. The frames at the edges see zeros beyond the waveform."""

    log_unit = 10 / math.log(10)

    def __init__(self, config: DecibelMelConfig) -> None:
        missing = config.n_fft - config.window_length
        window = F.pad(torch.hamming_window(config.window_length), (missing // 2, missing - missing // 2))
        super().__init__(config, window, symmetric_filters(config))

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """Compute mel features in dB.

        Parameters
        ----------
        waveforms : (batch, samples) torch.Tensor
            In [-1, 1).

        Returns
        -------
        (batch, mels, frames) torch.Tensor, float32
            samples // shift + 1 frames.

        Raises
        ------
        ValueError
            If there are no samples.
        """
        if waveforms.shape[-1] < 1:
            raise ValueError("mel features need at least 1 sample, got 0")
        return by_waveform(self._decibels, waveforms)

    def _decibels(self, waveforms: Tensor) -> Tensor:
        config = self.config
        half = config.n_fft // 2
        frames = F.pad(waveforms.float(), (half, half)).unfold(-1, config.n_fft, config.shift_length)
        power = self.filters(power_spectrum(torch.fft.rfft(frames * self.window)))
        decibels = power.clamp_min_(config.power_floor).log10_().mul_(10)
        return torch.maximum(decibels, decibels.amax(dim=(1, 2), keepdim=True) - config.range_db)


def symmetric_filters(config: DecibelMelConfig) -> Tensor:
    """Filters on the scale 2595 log10(1 + f / 700), linear in Hz, peak 1; (mels, bins) float64.

    Both sides of a filter are as wide as the distance to the peak below it, so that the upper side ends early.
    """
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (config.low_hz, config.high_hz))
    mels = torch.linspace(low, high, config.num_mel_bins + 2, dtype=torch.float64)
    points = 700 * (10 ** (mels / 2595) - 1)
    bins = torch.linspace(0, config.sampling_rate / 2, config.n_fft // 2 + 1, dtype=torch.float64)
    distance = (bins - points[1:-1, None]).abs()
    return (1 - distance / points.diff()[:-1, None]).clamp_min(0)
