"""What the log-mel front ends share: power spectra, triangular mel filters and their product."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

NUM_BLOCKS = 4


def triangles(points: Tensor, bins: Tensor) -> Tensor:
    """Weights of triangular filters with peak 1.

    Parameters
    ----------
    points : (filters + 2,) torch.Tensor
        Left edge, peak and right edge of filter m are points m, m + 1, m + 2.
    bins : (bins,) torch.Tensor
        Positions of the spectrum's bins on the same scale, Hz or mel.

    Returns
    -------
    (filters, bins) torch.Tensor
    """
    widths = points.diff()
    rising = (bins - points[:-2, None]) / widths[:-1, None]
    falling = (points[2:, None] - bins) / widths[1:, None]
    return torch.minimum(rising, falling).clamp_min(0)


class MelFilters(nn.Module):
    """Multiply power spectra by a bank of filters, each of which covers a narrow band.

    Neighbouring filters are applied in blocks, each to the bins that it covers: half the time of one dense
    product, and exact. Nothing is learned or stored in a checkpoint.

    Parameters
    ----------
    weights : (filters, bins) torch.Tensor
        Filters in ascending order of frequency.

    Raises
    ------
    ValueError
        If a filter is so narrow that it falls between two bins.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        if len(empty := (weights <= 0).all(dim=1).nonzero()):
            raise ValueError(f"too many filters for this FFT length: filter {int(empty[0])} covers no FFT bin")
        blocks = [block for block in torch.tensor_split(weights, NUM_BLOCKS) if len(block)]
        self._bands = [_band(block) for block in blocks]
        for number, (block, band) in enumerate(zip(blocks, self._bands, strict=True)):
            self.register_buffer(f"block_{number}", block[:, band].float().contiguous(), persistent=False)

    def forward(self, power: Tensor) -> Tensor:
        """Filter (batch, frames, bins) power spectra: (batch, filters, frames)."""
        products = [
            torch.matmul(block, power[..., band].transpose(1, 2))
            for block, band in zip(self.buffers(), self._bands, strict=True)
        ]
        return torch.cat(products, dim=1)


def power_spectrum(spectrum: Tensor) -> Tensor:
    """Squared magnitude of a complex spectrum, which is overwritten: fresh memory would cost more than the squares."""
    parts = torch.view_as_real(spectrum)
    parts.mul_(parts)
    return parts[..., 0] + parts[..., 1]


def is_traced() -> bool:
    """Whether a graph is being recorded, which is to hold for any number of waveforms of any length: no loops over them."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def by_waveform(features: Callable[[Tensor], Tensor], waveforms: Tensor) -> Tensor:
    """Apply `features` to (batch, samples); on a CPU one waveform at a time, so that its frames stay in the cache."""
    if is_traced() or waveforms.device.type != "cpu" or len(waveforms) <= 1:
        return features(waveforms)
    return torch.cat([features(waveform) for waveform in waveforms.split(1)])


def _band(block: Tensor) -> slice:
    covered = block.any(dim=0).nonzero()
    return slice(int(covered[0]), int(covered[-1]) + 1)
