"""Log-mel filterbank that agrees with Kaldi's `compute-fbank-feats --dither=0`."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.base.layout import SAMPLING_RATE
from sv.features.mel import MelFrontend, by_waveform, check_band, power_spectrum, triangles

FULL_SCALE = 32768.0  # Kaldi works on 16-bit integers
LOG_FLOOR = torch.finfo(torch.float32).eps


@dataclass(frozen=True, kw_only=True)
class FbankConfig:
    """Log-mel filterbank; Kaldi framing and defaults, dither off so that extraction is repeatable.

    Attributes
    ----------
    sampling_rate : int
        Hz.
    low_hz, high_hz : float
        Edges of the lowest and the highest filter.
    input_scale : float
        Multiplies the samples, which are in [-1, 1): 32768 for 16-bit integers, on which Kaldi works; 1 for models that
        were trained on the samples as they are.
    snip_edges : bool
        Keep whole frames only; else round(samples / shift) frames, with the waveform mirrored at its ends.
    """

    sampling_rate: int = SAMPLING_RATE
    num_mel_bins: int = 80
    window_ms: float = 25.0
    shift_ms: float = 10.0
    low_hz: float = 20.0
    high_hz: float = 8000.0
    pre_emphasis: float = 0.97
    window: Literal["povey", "hamming"] = "povey"
    input_scale: float = FULL_SCALE
    snip_edges: bool = True

    def __post_init__(self) -> None:
        check_band(self.low_hz, self.high_hz, self.sampling_rate)
        if self.window not in ("povey", "hamming"):
            raise ValueError(f"window must be povey or hamming, got {self.window!r}")
        if not self.input_scale > 0:
            raise ValueError(f"input_scale must be positive, got {self.input_scale}")
        if not 0 < self.shift_length <= self.window_length:
            raise ValueError(f"shift_ms must be in (0, window_ms = {self.window_ms}], got {self.shift_ms}")

    @property
    def input_rate(self) -> int:
        """Sampling rate of the waveforms, in Hz."""
        return self.sampling_rate

    @property
    def window_length(self) -> int:
        """Samples of a window."""
        return int(self.window_ms * self.sampling_rate / 1000)

    @property
    def shift_length(self) -> int:
        """Samples between the starts of two frames."""
        return int(self.shift_ms * self.sampling_rate / 1000)

    @property
    def n_fft(self) -> int:
        """The power of two that holds a window."""
        return 1 << (self.window_length - 1).bit_length()


class Fbank(MelFrontend):
    """Waveforms to Kaldi's log-mel filterbank; nothing is learned."""

    def __init__(self, config: FbankConfig) -> None:
        super().__init__(config, window_function(config), kaldi_filters(config))

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """Compute log-mel features.

        Parameters
        ----------
        waveforms : (batch, samples) torch.Tensor
            In [-1, 1); `input_scale` brings them to the range that the model expects.

        Returns
        -------
        (batch, mels, frames) torch.Tensor, float32

        Raises
        ------
        ValueError
            If there is not one frame.
        """
        config = self.config
        if waveforms.shape[-1] < config.window_length:
            raise ValueError(f"filterbanks need at least {config.window_length} samples, got {waveforms.shape[-1]}")
        return by_waveform(self._log_mel, waveforms)

    def _log_mel(self, waveforms: Tensor) -> Tensor:
        samples = waveforms.double() * self.config.input_scale
        if not self.config.snip_edges:
            samples = mirror_edges(samples, self.config)
        spectrum = torch.fft.rfft(self.windowed_frames(samples), n=self.config.n_fft)
        return self.filters(power_spectrum(spectrum)).clamp_min_(LOG_FLOOR).log_()

    def windowed_frames(self, samples: Tensor) -> Tensor:
        """Cut frames, remove each one's mean, emphasise and window it: (batch, frames, window) float32.

        Kaldi takes the mean first. Both steps are linear, so emphasising the waveform once and taking what is left of
        the mean comes to the same, but for a frame's first sample, whose predecessor is itself. In float64 up to
        here, since loud tones cancel.
        """
        config = self.config
        emphasised = samples.clone()
        emphasised[:, 1:].sub_(samples[:, :-1], alpha=config.pre_emphasis)
        left = 1 - config.pre_emphasis
        frames, raw_frames = (
            values.float().unfold(-1, config.window_length, config.shift_length)
            for values in (emphasised, samples * left)
        )
        mean = raw_frames.mean(dim=-1, keepdim=True)
        windowed = (frames - mean).mul_(self.window)
        windowed[..., 0] = (raw_frames[..., 0] - mean[..., 0]) * self.window[0]
        return windowed


def mirror_edges(samples: Tensor, config: FbankConfig) -> Tensor:
    """Extend (batch, samples) such that frame f of round(samples / shift) is centred on sample shift * (f + 0.5).

    Beyond the ends the waveform is mirrored, the outermost sample included: index -1 is sample 0.
    """
    length, shift = samples.shape[-1], config.shift_length
    num_frames = (length + shift // 2) // shift
    before = config.window_length // 2 - shift // 2
    after = max(0, shift * (num_frames - 1) + config.window_length - before - length)
    return torch.cat([samples[:, :before].flip(-1), samples, samples[:, length - after :].flip(-1)], dim=-1)


def window_function(config: FbankConfig) -> Tensor:
    """Kaldi's symmetric windows, (window,) float32; Povey's is a Hann window to the power of 0.85."""
    if config.window == "hamming":
        return torch.hamming_window(config.window_length, periodic=False, dtype=torch.float64).float()
    return torch.hann_window(config.window_length, periodic=False, dtype=torch.float64).pow(0.85).float()


def kaldi_filters(config: FbankConfig) -> Tensor:
    """Filters equally spaced and linear on the scale 1127 ln(1 + f / 700); (mels, n_fft / 2 + 1) float64.

    Kaldi leaves the bin of the Nyquist frequency out.
    """
    low, high = (1127 * math.log1p(hz / 700) for hz in (config.low_hz, config.high_hz))
    points = torch.linspace(low, high, config.num_mel_bins + 2, dtype=torch.float64)
    bins_hz = torch.arange(config.n_fft // 2, dtype=torch.float64) * (config.sampling_rate / config.n_fft)
    return F.pad(triangles(points, 1127 * torch.log1p(bins_hz / 700)), (0, 1))
