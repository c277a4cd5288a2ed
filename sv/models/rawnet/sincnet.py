"""Band-pass filters whose cut-off frequencies are learned (Ravanelli and Bengio 2018, arXiv:1808.00158)."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sv.base.layout import SAMPLING_RATE
from sv.models.folding import Foldable
from sv.models.frame_layers import FrameConv, cat_channels, is_on_cpu, is_traced, max_pool

LENGTH = 251  # taps; odd, so that filters have a centre
HALF = LENGTH // 2
MIN_LOW_HZ = 50.0
MIN_BAND_HZ = 50.0
CHUNK_FRAMES = 1024  # whose windows stay in a CPU's cache
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


class SincFilters(Foldable):
    """Even (cosine) band-pass filters, one per band; only the bands' edges are learned.

    Filters are always synthesised in float32 and outside autocast. Window and time axis are not part of a checkpoint.

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
        """Largest magnitude of every `pool` outputs of a filterbank of stride 1, (batch, filters, outputs // pool)."""
        assert self.stride == 1
        if waveforms.device.type != "cpu" or is_traced():
            return F.max_pool1d(self(waveforms).abs(), pool)
        with torch.autocast("cpu", enabled=False):
            maps = PooledMagnitude.apply(waveforms[:, 0], self.filters()[:, : HALF + 1], pool)
        return maps.transpose(1, 2).contiguous()

    def folded(self) -> nn.Module:
        """Return the filters, on a CPU as they are now; elsewhere they are synthesised in each pass."""
        return FrozenSincFilters(self) if is_on_cpu(self) else self


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

    def folded(self) -> nn.Module:
        """Return the filters, see `SincFilters.folded`."""
        return FrozenSincPairs(self) if is_on_cpu(self) else self


def folded_windows(waveform: Tensor) -> Tensor:
    """Samples of (samples,) that meet equal taps of an even filter, added: (samples - 250, 126), the centre's twice."""
    windows = waveform.unfold(0, LENGTH, 1)
    return windows[:, HALF:].flip(1).add_(windows[:, : HALF + 1])


def folded_product(taps: Tensor) -> FrameConv:
    """The product of folded windows, (batch, 126, windows), and the first halves of filters, (filters, 126)."""
    product = nn.Conv1d(HALF + 1, len(taps), 1, bias=False)
    product.weight = nn.Parameter(halved_centre(taps.detach())[:, :, None], requires_grad=False)
    return FrameConv(product)


def halved_centre(taps: Tensor) -> Tensor:
    """Taps (filters, 126) with half the centre's, which meets its sample twice."""
    return torch.cat([taps[:, :HALF], taps[:, HALF:] / 2], dim=1)


def chunks(num_frames: int, pool: int) -> Iterator[tuple[slice, slice]]:
    """Frames, some at a time, and the samples from which they are pooled."""
    for first in range(0, num_frames, CHUNK_FRAMES):
        last = min(first + CHUNK_FRAMES, num_frames)
        yield slice(first, last), slice(pool * first, pool * last + LENGTH - 1)


def pooled_products(product: FrameConv, waveforms: Tensor, pool: int) -> Tensor:
    """Largest magnitude of every `pool` outputs of even filters on (batch, samples): (batch, frames, filters)."""
    num_frames = (waveforms.shape[1] - LENGTH + 1) // pool
    pooled = waveforms.new_empty(len(waveforms), num_frames, len(product.weight))
    for waveform, maps in zip(waveforms, pooled):
        for frames, samples in chunks(num_frames, pool):
            magnitudes = product(folded_windows(waveform[samples]).T[None]).abs_()
            maps[frames] = max_pool(magnitudes, pool)[0].T
    return pooled


class PooledMagnitude(torch.autograd.Function):
    """Even filters, magnitude and max pooling in one, for a CPU: (batch, samples) to (batch, frames, filters).

    A few hundred frames at a time, so that the outputs stay in the cache, and with half the multiplications: samples that
    meet equal taps are added first. The outputs are not kept for the gradient but computed again.
    """

    @staticmethod
    def forward(ctx: Any, waveforms: Tensor, taps: Tensor, pool: int) -> Tensor:
        """`taps` are the filters' first halves with the centre, (filters, 126)."""
        pooled = pooled_products(folded_product(taps), waveforms, pool)
        ctx.save_for_backward(waveforms, taps, pooled)
        ctx.pool = pool
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        """Gradients of the waveforms, if they are wanted, and of the taps."""
        waveforms, taps, pooled = ctx.saved_tensors
        gradient = gradient.contiguous()
        product, back = folded_product(taps), transposed_product(taps)
        of_taps, of_waveforms = torch.zeros_like(taps), torch.zeros_like(waveforms)
        for row, waveform in enumerate(waveforms):
            for frames, samples in chunks(pooled.shape[1], ctx.pool):
                folded = folded_windows(waveform[samples])
                outputs = product(folded.T[None])[0].T.unflatten(0, (-1, ctx.pool))  # (frames, pool, filters)
                is_largest = outputs.abs() == pooled[row, frames, None]
                of_outputs = outputs.sign().mul_(is_largest).mul_(gradient[row, frames, None]).flatten(0, 1)
                of_taps += of_outputs.T @ folded
                if ctx.needs_input_grad[0]:
                    of_folded = back(of_outputs.T[None])[0]  # (126, windows)
                    of_waveforms[row, samples][:-HALF] += overlap_add(of_folded)
                    of_waveforms[row, samples][HALF:] += overlap_add(of_folded.flip(0))
        return of_waveforms if ctx.needs_input_grad[0] else None, halved_centre(of_taps), None


def transposed_product(taps: Tensor) -> FrameConv:
    """From outputs, (batch, filters, windows), back to folded windows, (batch, 126, windows)."""
    product = nn.Conv1d(len(taps), HALF + 1, 1, bias=False)
    product.weight = nn.Parameter(halved_centre(taps).T[:, :, None].contiguous(), requires_grad=False)
    return FrameConv(product)


def overlap_add(windows: Tensor) -> Tensor:
    """Sum windows, (length, count), each of which starts a sample later than the one before: (length + count - 1,)."""
    length, count = windows.shape
    sheared = windows.new_zeros(length, length + count)  # each row a sample further to the right
    sheared.as_strided((length, count), (length + count + 1, 1)).copy_(windows)
    return sheared.sum(dim=0)[:-1]


class FrozenSincFilters(nn.Module):
    """Even filters that are not learned any more, for a CPU."""

    def __init__(self, sinc: SincFilters) -> None:
        super().__init__()
        assert sinc.stride == 1 and not isinstance(sinc, SincPairs)
        self.product = folded_product(sinc.filters()[:, : HALF + 1])

    def pooled_magnitude(self, waveforms: Tensor, pool: int) -> Tensor:
        """Largest magnitudes, see `SincFilters.pooled_magnitude`; maps lie frame by frame."""
        with torch.autocast("cpu", enabled=False):
            return pooled_products(self.product, waveforms[:, 0], pool).transpose(1, 2)


class FrozenSincPairs(nn.Module):
    """Even and odd filters that are not learned any more, for a CPU: half the multiplications."""

    def __init__(self, sinc: SincPairs) -> None:
        super().__init__()
        self.stride = sinc.stride
        even, odd = sinc.filters()[:, : HALF + 1].chunk(2)
        self.even, self.odd = folded_product(even), folded_product(odd)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Filter (batch, 1, samples), see `SincPairs`; maps lie frame by frame."""
        windows = waveforms[:, 0].unfold(1, LENGTH, self.stride)  # (batch, frames, 251)
        left, right = windows[:, :, : HALF + 1], windows[:, :, HALF:].flip(2)
        return cat_channels([self.even((left + right).transpose(1, 2)), self.odd((left - right).transpose(1, 2))])


def sinc_filters(num_bands: int) -> SincFilters:
    """RawNet2's filterbank, fresh."""
    return SincFilters(1, sincnet_window(), mel_spaced_edges(num_bands, np.float64))


def sinc_pairs(num_bands: int, stride: int) -> SincPairs:
    """RawNet3's filterbank, fresh."""
    return SincPairs(stride, hamming_window(), mel_spaced_edges(num_bands, np.float32))
