"""The SE-ResNet trunk and the baseline built on it alone.

The trunk is the part that the baseline, U-Net and ExU-Net share: stem, residual levels, attentive pooling, embedding.
Parameter names are those of the published ExU-Net code, so its checkpoints load as they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.blocks import initialise, residual_levels
from sv.models.folding import fuse
from sv.models.network import Network
from sv.models.pooling import attention_layers, weighted_statistics

STRIDES = (1, 2, 2, 1)  # of the levels, in both axes
STEM_STRIDE = (2, 1)  # (mels, frames)
MEL_STRIDE = 8  # of stem and levels together
NUM_LEVELS = len(STRIDES)


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """Sizes of the trunk.

    Attributes
    ----------
    num_mel_bins : int
        A multiple of 8.
    channels, blocks : tuple of 4 ints
        Width and number of residual blocks of each level.
    embedding_dim : int
    """

    num_mel_bins: int = 64
    channels: tuple[int, ...] = (16, 32, 64, 128)
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    embedding_dim: int = 128

    def __post_init__(self) -> None:
        check_sizes(self)


def check_sizes(config: Any) -> None:
    """Raise ValueError unless a residual network has four levels, mels that they divide, and an embedding."""
    for name in ("channels", "blocks"):
        values = getattr(config, name)
        if len(values) != NUM_LEVELS or min(values) < 1:
            raise ValueError(f"{name} must be {NUM_LEVELS} positive numbers, one per level, got {values}")
    if config.num_mel_bins < MEL_STRIDE or config.num_mel_bins % MEL_STRIDE:
        raise ValueError(f"num_mel_bins must be a multiple of {MEL_STRIDE}, got {config.num_mel_bins}")
    if config.embedding_dim < 1:
        raise ValueError(f"embedding_dim must be positive, got {config.embedding_dim}")


class Trunk(Network):
    """Stem, attentive pooling and embedding layer; subclasses add the residual levels under their published names.

    Parameters
    ----------
    config : TrunkConfig
    in_channels : int
        Maps stacked at the input.
    mels_as_channels : bool
        Pool over frames only, each (channel, mel) pair a channel of its own, channel-major; else pool over mels and
        frames together. The published systems differ in this.
    """

    def __init__(self, config: TrunkConfig, *, in_channels: int = 1, mels_as_channels: bool = False) -> None:
        super().__init__()
        self.config = config
        self.mels_as_channels = mels_as_channels
        pooled = config.channels[-1] * (config.num_mel_bins // MEL_STRIDE if mels_as_channels else 1)
        self.conv1, self.bn1 = stem_layers(in_channels, config.channels[0])
        self.attention = attention_layers(pooled)
        self.bn_agg = nn.BatchNorm1d(2 * pooled)
        self.fc = nn.Linear(2 * pooled, config.embedding_dim)
        self.bn_code = nn.BatchNorm1d(config.embedding_dim)

    def pool(self, maps: Tensor) -> Tensor:
        """Embed the last level's (batch, channels, mels, frames) maps: (batch, embedding_dim)."""
        values = maps.flatten(1, 2) if self.mels_as_channels else maps.flatten(2)
        statistics = weighted_statistics(values, self.attention(values))
        return self.bn_code(self.fc(self.bn_agg(statistics)))

    def folded(self) -> nn.Module:
        """Return the network without normalisations of maps, these channels-last."""
        self.conv1, self.bn1 = fuse(self.conv1, self.bn1)
        return super().folded().to(memory_format=torch.channels_last)


def stem_layers(in_channels: int, out_channels: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """7x7 convolution that halves the mels, and its normalisation."""
    conv = nn.Conv2d(in_channels, out_channels, 7, stride=STEM_STRIDE, padding=3, bias=False)
    return conv, nn.BatchNorm2d(out_channels)


def encode(first: Tensor, levels: Iterable[nn.Module]) -> list[Tensor]:
    """The stem's output followed by that of each level, finest resolution first."""
    maps = [first]
    for level in levels:
        maps.append(level(maps[-1]))
    return maps


def normalised_map(features: Tensor) -> Tensor:
    """Features (batch, mels, frames) with zero mean and unit variance over frames, as (batch, 1, mels, frames)."""
    return F.instance_norm(features)[:, None]


class ResidualEncoder(Trunk):
    """The trunk with one run of residual levels: any stack of input maps to an embedding."""

    def __init__(self, config: TrunkConfig, *, in_channels: int = 1, mels_as_channels: bool = False) -> None:
        super().__init__(config, in_channels=in_channels, mels_as_channels=mels_as_channels)
        widths = config.channels
        self.layer1, self.layer2, self.layer3, self.layer4 = residual_levels(
            (widths[0], *widths[:-1]), widths, config.blocks, STRIDES
        )

    def embed_maps(self, maps: Tensor) -> Tensor:
        """Embed (batch, in_channels, mels, frames) maps: (batch, embedding_dim)."""
        first = F.relu(self.bn1(self.conv1(maps)))
        return self.pool(encode(first, (self.layer1, self.layer2, self.layer3, self.layer4))[-1])


@dataclass(frozen=True, kw_only=True)
class SEResNetConfig(TrunkConfig):
    """The baseline: a squeeze-excitation ResNet34 of a quarter of the usual width."""


class SEResNet(ResidualEncoder):
    """Baseline speaker encoder of the ExU-Net paper (Kim et al. 2022, arXiv:2206.13044)."""

    def __init__(self, config: SEResNetConfig) -> None:
        super().__init__(config)
        self.apply(initialise)

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        return self.embed_maps(normalised_map(features))
