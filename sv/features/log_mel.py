"""The log-mel features of ExU-Net (Kim et al. 2022, arXiv:2206.13044), as the published code computes them.

With `keep_length` and `subtract_mean` they are those of Diff-SV (Kim et al. 2023, arXiv:2309.08320), with `keep_length`
and another FFT length those of voxceleb_trainer.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.base.layout import SAMPLING_RATE
from sv.features.mel import CentredFrames, MelFrontend, by_waveform, check_band, is_traced, power_spectrum, triangles

CHUNK_FRAMES = 128  # their spectra stay in a CPU's cache


@dataclass(frozen=True, kw_only=True)
class LogMelConfig(CentredFrames):
    """Log-mel filterbank: centred frames, HTK mel scale.

    Attributes
    ----------
    sampling_rate : int
        Hz.
    n_fft : int
        FFT length; the window lies in its middle.
    low_hz, high_hz : float
        Edges of the lowest and the highest filter.
    pre_emphasis : float
        y[n] = x[n + 1] - pre_emphasis x[n]: one sample shorter than x.
    keep_length : bool
        Pre-emphasis keeps the length: y[n] = x[n] - pre_emphasis x[n - 1], and x[1] stands for x[-1].
    window : "hamming" or "hann"
    input_scale : float
        Multiplies the samples, which are in [-1, 1): 32768 for models that were trained on 16-bit integers.
    log_floor : float
        Added to the mel power of the scaled samples before the natural logarithm.
    clamped : bool
        It is the least mel power instead, and nothing is added (as in NoiseLoRA-SV).
    subtract_mean : bool
        Subtract each mel bin's mean over the frames.
    """

    sampling_rate: int = SAMPLING_RATE
    num_mel_bins: int = 64
    n_fft: int = 1024
    window_ms: float = 25.0
    shift_ms: float = 10.0
    low_hz: float = 0.0
    high_hz: float = 8000.0
    pre_emphasis: float = 0.97
    keep_length: bool = False
    window: Literal["hamming", "hann"] = "hamming"
    input_scale: float = 1.0
    log_floor: float = 1e-6
    clamped: bool = field(default=False, metadata={"later": True})  # older runs do not tell it
    subtract_mean: bool = False

    def __post_init__(self) -> None:
        check_band(self.low_hz, self.high_hz, self.sampling_rate)
        self.check_frames()
        for name in ("input_scale", "log_floor"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    @property
    def input_rate(self) -> int:
        """Sampling rate of the waveforms, in Hz."""
        return self.sampling_rate


class LogMel(MelFrontend):
    """Waveforms to log-mel features; nothing is learned."""

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__(config, centred_window(config), htk_filters(config))

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """Compute log-mel features.

        Parameters
        ----------
        waveforms : (batch, samples) torch.Tensor
            In [-1, 1). Pre-emphasis is computed in their dtype, the rest in the module's, float32.

        Returns
        -------
        (batch, mels, frames) torch.Tensor, float32
            (samples - 1) // shift + 1 frames, counted after pre-emphasis, which takes one sample unless it keeps the length.

        Raises
        ------
        ValueError
            If the waveforms are too short to be reflected at their ends.
        """
        config = self.config
        shortest = config.n_fft // 2 + 2
        if waveforms.shape[-1] < shortest:
            raise ValueError(f"log-mel features need at least {shortest} samples, got {waveforms.shape[-1]}")
        return by_waveform(self._log_mel, waveforms)

    def _log_mel(self, waveforms: Tensor) -> Tensor:
        config = self.config
        if config.keep_length:
            waveforms = torch.cat([waveforms[:, 1:2], waveforms], dim=1)
        emphasised = torch.sub(waveforms[:, 1:], waveforms[:, :-1], alpha=config.pre_emphasis).to(self.window.dtype)
        half = config.n_fft // 2
        centred = F.pad(emphasised[:, None], (half, half), mode="reflect")[:, 0]
        frames = centred.unfold(-1, config.n_fft, config.shift_length)
        in_chunks = frames.device.type == "cpu" and not is_traced()
        chunks = frames.split(CHUNK_FRAMES, dim=1) if in_chunks else [frames]
        mels = [self.filters(power_spectrum(torch.fft.rfft(some * self.window))) for some in chunks]
        powers = torch.cat(mels, dim=-1)
        floored = powers.clamp_min_(config.log_floor) if config.clamped else powers.add_(config.log_floor)
        features = floored.log_()
        return features.sub_(features.mean(dim=-1, keepdim=True)) if config.subtract_mean else features


def centred_window(config: LogMelConfig) -> Tensor:
    """Periodic window, times the input scale, with zeros to both sides: (n_fft,) float32."""
    missing = config.n_fft - config.window_length
    make = torch.hamming_window if config.window == "hamming" else torch.hann_window
    window = config.input_scale * make(config.window_length)
    return F.pad(window, (missing // 2, missing - missing // 2))


def htk_filters(config: LogMelConfig) -> Tensor:
    """Filters equally spaced on the scale 2595 log10(1 + f / 700), linear in Hz, peak 1; (mels, bins) float64."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (config.low_hz, config.high_hz))
    mels = torch.linspace(low, high, config.num_mel_bins + 2, dtype=torch.float64)
    bins = torch.linspace(0, config.sampling_rate / 2, config.n_fft // 2 + 1, dtype=torch.float64)
    return triangles(700 * (10 ** (mels / 2595) - 1), bins)
