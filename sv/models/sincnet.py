"""Band-pass filters whose cut-off frequencies are learned (Ravanelli and Bengio 2018, arXiv:1808.00158)."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SAMPLING_RATE = 16_000
LENGTH = 251  # taps; odd, so that filters have a centre
HALF = LENGTH // 2
MIN_LOW_HZ = 50.0
MIN_BAND_HZ = 50.0
LOWEST_HZ = 30.0  # first edge of the initial bands


def mel_spaced_edges(num_bands: int, dtype: type[np.floating]) -> Tensor:
    """Edges of bands equally wide on the scale 2595 log10(1 + f / 700), 30 Hz to 7900 Hz, (num_bands + 1,).

    In float32 they are up to 1e-3 Hz off those in float64; RawNet2 starts from the latter, RawNet3 from the former.
    """
    highest = SAMPLING_RATE / 2 - (MIN_LOW_HZ + MIN_BAND_HZ)
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (LOWEST_HZ, highest))
    mels = np.linspace(low, high, num_bands + 1, dtype=dtype)
    return torch.from_numpy(700 * (10 ** (mels / 2595) - 1))


def sincnet_window() -> Tensor:
    """Left half of the published SincNet's window, (125,): close to Hamming's, its points (124.5 / 124) apart."""
    points = torch.linspace(0, LENGTH / 2 - 1, HALF)
    return 0.54 - 0.46 * torch.cos(2 * math.pi * points / LENGTH)


def hamming_window() -> Tensor:
    """Left half of the symmetric Hamming window of 251 points, (125,)."""
    return torch.from_numpy(np.hamming(LENGTH)[:HALF].astype(np.float32))


class SincFilters(nn.Module):
    """Even (cosine) band-pass filters, one a band; learned are the bands' edges alone.

    Filters are always synthesised in float32 and outside autocast. Window and time axis are no part of a checkpoint.

    Parameters
    ----------
    stride : int
        Samples.
    window : (125,) torch.Tensor
        Left half; the centre tap has weight 1.
    edges : (num_bands + 1,) torch.Tensor
        Of the initial bands, in Hz.
    """

    def __init__(self, stride: int, window: Tensor, edges: Tensor) -> None:
        super().__init__()
        self.stride = stride
        self.low_hz = nn.Parameter(edges[:-1, None].float())
        self.band_hz = nn.Parameter(edges.diff()[:, None].float())
        angle = 2 * math.pi * torch.arange(-HALF, 0.0)[None] / SAMPLING_RATE
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("angle", angle, persistent=False)  # (1, 125) radians per Hz

    def cutoffs(self) -> tuple[Tensor, Tensor]:
        """Lower and upper cut-off frequencies in Hz, both (num_bands, 1)."""
        low = MIN_LOW_HZ + self.low_hz.abs()
        return low, torch.clamp(low + MIN_BAND_HZ + self.band_hz.abs(), MIN_LOW_HZ, SAMPLING_RATE / 2)

    def filters(self) -> Tensor:
        """Impulse responses with a centre tap of 1, (num_bands, 251)."""
        low, high = self.cutoffs()
        left = (torch.sin(high * self.angle) - torch.sin(low * self.angle)) / (self.angle / 2) * self.window
        width = 2 * (high - low)
        return torch.cat([left, width, left.flip(1)], dim=1) / width

    def forward(self, waveforms: Tensor) -> Tensor:
        """Filter (batch, 1, samples): (batch, filters, (samples - 251) // stride + 1)."""
        with torch.autocast(waveforms.device.type, enabled=False):
            return F.conv1d(waveforms, self.filters()[:, None], stride=self.stride)

    def pooled_magnitude(self, waveforms: Tensor, pool: int) -> Tensor:
        """Largest magnitude of every `pool` outputs of a filterbank of stride 1, (batch, filters, outputs // pool).

        One convolution of stride `pool` computes the outputs that are pooled into one as channels of their own, with
        the filters delayed against each other: 1.3 to 2 times as fast on a CPU as filtering and then pooling.
        """
        assert self.stride == 1
        with torch.autocast(waveforms.device.type, enabled=False):
            filters = self.filters()
            delayed = torch.cat([F.pad(filters, (delay, pool - 1 - delay)) for delay in range(pool)])
            outputs = F.conv1d(waveforms, delayed[:, None], stride=pool)
            return outputs.abs().unflatten(1, (pool, len(filters))).max(dim=1).values


class SincPairs(SincFilters):
    """Even filters followed by the odd (sine) ones of the same bands: 2 * num_bands channels.

    The analytic filters of Pariente et al. 2020 (arXiv:1910.10400), as RawNet3 has them.
    """

    def filters(self) -> Tensor:
        """Impulse responses, (2 * num_bands, 251); an odd one has a centre tap of 0."""
        low, high = self.cutoffs()
        left = (torch.cos(low * self.angle) - torch.cos(high * self.angle)) / (self.angle / 2) * self.window
        left = left / (2 * (high - low))
        odd = torch.cat([left, torch.zeros_like(low), -left.flip(1)], dim=1)
        return torch.cat([super().filters(), odd])


def sinc_filters(num_bands: int) -> SincFilters:
    """RawNet2's filterbank, fresh."""
    return SincFilters(1, sincnet_window(), mel_spaced_edges(num_bands, np.float64))


def sinc_pairs(num_bands: int, stride: int) -> SincPairs:
    """RawNet3's filterbank, fresh."""
    return SincPairs(stride, hamming_window(), mel_spaced_edges(num_bands, np.float32))
