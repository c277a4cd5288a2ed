"""Shared parts of the mel front ends: frame sizes, power spectra, triangular mel filters and their product."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sv.features.protocol import FrontendConfig

NUM_BLOCKS = 4


class CentredFrames:
    """Sizes in samples of a configuration's frames, whose windows lie in the middle of a longer FFT."""

    sampling_rate: int
    n_fft: int
    window_ms: float
    shift_ms: float

    @property
    def window_length(self) -> int:
        """Samples of a window."""
        return round(self.window_ms * self.sampling_rate / 1000)

    @property
    def shift_length(self) -> int:
        """Samples between the starts of two frames."""
        return round(self.shift_ms * self.sampling_rate / 1000)

    def check_frames(self) -> None:
        """Raise ValueError unless the window fits into the FFT and the shift is a sample or more."""
        if not 0 < self.window_length <= self.n_fft:
            raise ValueError(
                f"window_ms must be in (0, {1000 * self.n_fft / self.sampling_rate}], got {self.window_ms}"
            )
        if self.shift_length < 1:
            raise ValueError(f"shift_ms must be at least one sample, got {self.shift_ms}")


def check_band(low_hz: float, high_hz: float, sampling_rate: int) -> None:
    """Raise ValueError unless the outer edges of a filterbank ascend between 0 Hz and half the sampling rate."""
    if not 0 <= low_hz < high_hz <= sampling_rate / 2:
        raise ValueError(
            f"low_hz and high_hz must be ascending in [0, {sampling_rate / 2}], got {low_hz} and {high_hz}"
        )


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


class MelFrontend(nn.Module):
    """Base of the mel front ends: a window and filters, neither learned nor stored in a checkpoint.

    Parameters
    ----------
    config : dataclass
    window : (samples,) torch.Tensor
    weights : (filters, bins) torch.Tensor
        See `MelFilters`.

    Attributes
    ----------
    log_unit : float or None
        How much features rise where the power is e times as high; None if they are powers.
    """

    log_unit: float | None = 1.0

    def __init__(self, config: FrontendConfig, window: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", window, persistent=False)
        self.filters = MelFilters(weights)

    @property
    def device(self) -> torch.device:
        """Device that waveforms must be on."""
        return self.window.device


def power_spectrum(spectrum: Tensor) -> Tensor:
    """Squared magnitude of a complex spectrum, which is overwritten: fresh memory would cost more than the squares."""
    parts = torch.view_as_real(spectrum)
    parts.mul_(parts)
    return parts[..., 0] + parts[..., 1]


def is_traced() -> bool:  # as in sv.models.frame_layers: the rooms do not see each other, sv.base does not see torch
    """True while exporting or tracing, when Python loops over the batch must be avoided."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def by_waveform(features: Callable[[Tensor], Tensor], waveforms: Tensor) -> Tensor:
    """Apply `features` to (batch, samples); on a CPU one waveform at a time, so that its frames stay in the cache."""
    if is_traced() or waveforms.device.type != "cpu" or len(waveforms) <= 1:
        return features(waveforms)
    return torch.cat([features(waveform) for waveform in waveforms.split(1)])


def _band(block: Tensor) -> slice:
    covered = block.any(dim=0).nonzero()
    return slice(int(covered[0]), int(covered[-1]) + 1)
