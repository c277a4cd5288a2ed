"""The noise network of NoiseLoRA-SV: it estimates the noise in log-mel features, and describes it on the way.

Axes: maps are (batch, channels, mels, frames). Strides are in mels alone, so every map has all frames.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.folding import Foldable, fuse

NUM_LEVELS = 4
MEL_STRIDE = 2**NUM_LEVELS
SCALES = NUM_LEVELS - 1  # of the description over time: all levels but the finest
SHORTEN = {"stride": (2, 1), "padding": (1, 1)}


class NoiseCues(NamedTuple):
    """Description of the noise in utterances.

    Attributes
    ----------
    whole : (batch, noise_dim) torch.Tensor
        Of the utterance.
    local : (batch, noise_dim, mels / 4, frames) torch.Tensor
        Of its parts.
    """

    whole: Tensor
    local: Tensor


class Unit(Foldable):
    """3x3 convolution, batch norm, and a ReLU whose slope below 0 is learned for each channel."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.slope = nn.Parameter(torch.full((out_channels,), 0.25))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, mels, frames) to (batch, out_channels, mels / stride, frames)."""
        maps = self.bn(self.conv(maps))
        return F.prelu(maps, self.slope.to(maps.dtype))

    def folded(self) -> nn.Module:
        """Return the unit without its normalisation."""
        self.conv, self.bn = fuse(self.conv, self.bn)
        return self


class Fusion(nn.Module):
    """Sum of maps of several scales, each weighted by a gate of its own at every place (the paper's MAGF)."""

    def __init__(self, channels: int, scales: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels * scales, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.SiLU(),
            nn.Conv2d(channels, scales, 3, padding=1, bias=False),
            nn.BatchNorm2d(scales),
            nn.Sigmoid(),
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map `scales` times (batch, channels, mels, frames) to one of these."""
        gates = self.gate(torch.cat(list(maps), dim=1))
        return sum(each * gate for each, gate in zip(maps, gates.split(1, dim=1), strict=True))


class NoiseHead(nn.Module):
    """Two descriptions of the noise from the encoder's maps (the paper's MS-NRH).

    That of the whole utterance is from the coarsest level; that over time from all levels but the finest, brought to the
    resolution of the finest among these.
    """

    def __init__(self, channels: Sequence[int], noise_dim: int) -> None:
        super().__init__()
        self.whole = nn.Sequential(
            nn.Conv2d(channels[-1], noise_dim, 3, padding=1), nn.ReLU(), nn.Conv2d(noise_dim, noise_dim, 1)
        )
        self.scales = nn.ModuleList(nn.Conv2d(width, noise_dim, 3, padding=1) for width in channels[-SCALES:])
        self.fusion = Fusion(noise_dim, SCALES)
        self.local = nn.Conv2d(noise_dim, noise_dim, 1)

    def forward(self, maps: Sequence[Tensor]) -> NoiseCues:
        """Describe the noise in the encoder's maps, finest first."""
        whole = self.whole(maps[-1]).mean(dim=(2, 3))
        scaled = [
            layer(each) if not level else stretch_mels(layer(each), 2**level)
            for level, (layer, each) in enumerate(zip(self.scales, maps[-SCALES:], strict=True))
        ]
        return NoiseCues(whole, self.local(self.fusion(scaled)))


def stretch_mels(maps: Tensor, factor: int) -> Tensor:
    """Interpolate (batch, channels, mels, frames) linearly to `factor` times as many mels."""
    return F.interpolate(maps, scale_factor=(float(factor), 1.0), mode="bilinear", align_corners=False)


class NoiseDecoder(nn.Module):
    """From the encoder's maps to the noise's features: a GRU over frames at the coarsest level, then a U-Net's way up."""

    def __init__(self, num_mel_bins: int, channels: Sequence[int], rnn_channels: int, rnn_hidden: int) -> None:
        super().__init__()
        first, second, third, last = channels
        width = rnn_channels * (num_mel_bins // MEL_STRIDE)
        self.reduce = nn.Conv2d(last, rnn_channels, 1, bias=False)
        self.gru = nn.GRU(width, rnn_hidden, batch_first=True)
        self.expand = nn.Linear(rnn_hidden, width)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, after, (4, 3), **SHORTEN)
            for before, after in ((rnn_channels, third), (second, second), (first, first), (first, first))
        )
        self.levels = nn.ModuleList(
            nn.Sequential(Unit(2 * width, width), Unit(width, after))
            for width, after in ((third, second), (second, first), (first, first))
        )
        self.last = nn.Conv2d(first, 1, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Estimate the noise's features, (batch, mels, frames), from the encoder's maps, finest first."""
        reduced = self.reduce(maps[-1])
        hidden, _ = self.gru(reduced.flatten(1, 2).transpose(1, 2))
        decoded = self.expand(hidden).transpose(1, 2).unflatten(1, reduced.shape[1:3])
        for up, level, skip in zip(self.up, self.levels, maps[-2::-1]):
            decoded = level(torch.cat([up(decoded), skip], dim=1))
        return self.last(self.up[-1](decoded))[:, 0]


class NoiseNetwork(nn.Module):
    """Encoder whose maps describe the noise, and decoder that estimates it, which only training needs.

    Parameters
    ----------
    num_mel_bins : int
        A multiple of `MEL_STRIDE`.
    channels : sequence of int
        Of the encoder's levels, finest first.
    rnn_channels, rnn_hidden : int
        Of the decoder: channels that its GRU reads at each mel, and its width.
    noise_dim : int
        Of both descriptions.
    """

    def __init__(
        self, num_mel_bins: int, channels: Sequence[int], rnn_channels: int, rnn_hidden: int, noise_dim: int
    ) -> None:
        super().__init__()
        inputs = (1, *channels[:-1])
        self.encoder = nn.ModuleList(
            nn.Sequential(Unit(before, width), Unit(width, width, stride=2)) for before, width in zip(inputs, channels)
        )
        self.head = NoiseHead(channels, noise_dim)
        self.decoder = NoiseDecoder(num_mel_bins, channels, rnn_channels, rnn_hidden)

    def encode(self, features: Tensor) -> list[Tensor]:
        """Maps of each level, finest first, from (batch, mels, frames) features."""
        maps = [features[:, None]]
        for level in self.encoder:
            maps.append(level(maps[-1]))
        return maps[1:]
