"""The mel features of the GE2E systems on VCTK: librosa's mel scale, power or base-10 logarithm."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.base.layout import SAMPLING_RATE
from sv.features.mel import CentredFrames, MelFrontend, power_spectrum, triangles

LINEAR_HZ = 200 / 3  # of a mel below the break
BREAK_MEL = 15  # 1000 Hz
LOG_STEP = math.log(6.4) / 27  # of a mel above it
FILTER_WIDTH = 10  # half length of the decimation filter, in output samples


@dataclass(frozen=True, kw_only=True)
class SlaneyMelConfig(CentredFrames):
    """Mel filterbank: centred frames, Hann window, Slaney's mel scale with filters of equal area.

    Attributes
    ----------
    input_rate, sampling_rate : int
        Hz, of the waveforms and of the features; the former a multiple of the latter, to which they are decimated.
    num_mel_bins : int
        Filters from 0 Hz to half of `sampling_rate`.
    n_fft : int
        FFT length; the window lies in its middle.
    log : bool
        log10(power + `log_floor`) instead of the power itself, which Resemblyzer's weights read.
    """

    input_rate: int = SAMPLING_RATE
    sampling_rate: int = SAMPLING_RATE
    num_mel_bins: int = 40
    n_fft: int = 512
    window_ms: float = 25.0
    shift_ms: float = 10.0
    log: bool = True
    log_floor: float = 1e-6

    def __post_init__(self) -> None:
        if self.sampling_rate < 1 or self.input_rate % self.sampling_rate:
            raise ValueError(f"input_rate {self.input_rate} must be a multiple of sampling_rate {self.sampling_rate}")
        self.check_frames()

    @property
    def decimation(self) -> int:
        """Input samples to one of the features' rate."""
        return self.input_rate // self.sampling_rate


class SlaneyMel(MelFrontend):
    """Waveforms to mel features; nothing is learned.

    The frames at the edges see the waveform reflected, as in the librosa of the published systems' time; later ones see
    zeros there.
    """

    def __init__(self, config: SlaneyMelConfig) -> None:
        missing = config.n_fft - config.window_length
        window = F.pad(torch.hann_window(config.window_length), (missing // 2, missing - missing // 2))
        super().__init__(config, window, slaney_filters(config))
        self.log_unit = 1 / math.log(10) if config.log else None
        self.register_buffer("low_pass", decimation_filter(config.decimation), persistent=False)

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """Compute mel features.

        Parameters
        ----------
        waveforms : (batch, samples) torch.Tensor
            In [-1, 1), at `input_rate`.

        Returns
        -------
        (batch, mels, frames) torch.Tensor, float32
            ceil(samples / decimation) // shift + 1 frames.

        Raises
        ------
        ValueError
            If the waveforms are too short to be reflected at their ends.
        """
        config = self.config
        samples = decimate(waveforms.float(), self.low_pass, config.decimation)
        half = config.n_fft // 2
        if samples.shape[-1] <= half:
            shortest = half * config.decimation + 1
            raise ValueError(f"mel features need at least {shortest} samples, got {waveforms.shape[-1]}")
        centred = F.pad(samples[:, None], (half, half), mode="reflect")[:, 0]
        frames = centred.unfold(-1, config.n_fft, config.shift_length)
        mels = self.filters(power_spectrum(torch.fft.rfft(frames * self.window)))
        return mels.add_(config.log_floor).log10_() if config.log else mels


def slaney_filters(config: SlaneyMelConfig) -> Tensor:
    """Triangles equally spaced in Slaney's mel, of unit area in Hz; (mels, bins) float64."""
    nyquist = config.sampling_rate / 2
    mels = torch.linspace(0, hz_to_mel(nyquist), config.num_mel_bins + 2, dtype=torch.float64)
    above = BREAK_MEL * LINEAR_HZ * torch.exp(LOG_STEP * (mels - BREAK_MEL))
    points = torch.where(mels < BREAK_MEL, LINEAR_HZ * mels, above)
    bins = torch.linspace(0, nyquist, config.n_fft // 2 + 1, dtype=torch.float64)
    return triangles(points, bins) * (2 / (points[2:] - points[:-2]))[:, None]


def hz_to_mel(hz: float) -> float:
    """Slaney's mel of a frequency: linear to 1000 Hz, logarithmic from there on."""
    mel = hz / LINEAR_HZ
    return mel if mel < BREAK_MEL else BREAK_MEL + math.log(mel / BREAK_MEL) / LOG_STEP


def decimation_filter(factor: int) -> Tensor:
    """Low-pass filter for `decimate`, (2 * 10 * factor + 1,) float32: the Kaiser window of `scipy.signal.resample_poly`."""
    if factor == 1:
        return torch.ones(1)
    from scipy.signal import firwin  # a second to import, for this front end alone

    taps = firwin(2 * FILTER_WIDTH * factor + 1, 1 / factor, window=("kaiser", 5.0))
    return torch.from_numpy(taps).float()


def decimate(waveforms: Tensor, taps: Tensor, factor: int) -> Tensor:
    """Every `factor`-th sample of filtered (batch, samples) waveforms, (batch, ceil(samples / factor))."""
    if factor == 1:
        return waveforms
    return F.conv1d(waveforms[:, None], taps[None, None], stride=factor, padding=len(taps) // 2)[:, 0]
