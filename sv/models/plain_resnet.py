"""ResNets without squeeze-excitation whose maps are pooled over frames (He et al. 2016, arXiv:1512.03385).

Layers, sizes and the pooling of WeSpeaker's ResNet18 to ResNet293: no pooling after the stem, mean and deviation of every
(channel, mel) pair over frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import require
from sv.models.blocks import strided
from sv.models.folding import Foldable, fuse_sequence
from sv.models.network import Network
from sv.models.pooling import mean_and_deviation
from sv.models.resnet import MEL_STRIDE, NUM_LEVELS

EXPANSION = 4  # of a bottleneck block's output over its width
VARIANCE_FLOOR = 1e-7


@dataclass(frozen=True, kw_only=True)
class PlainResNetConfig:
    """Sizes; the defaults are ResNet34's.

    Attributes
    ----------
    num_mel_bins : int
        A multiple of 8.
    channels : int
        Width of the first level; each of the others doubles it.
    blocks : tuple of 4 ints
        Residual blocks of each level: (2, 2, 2, 2) for ResNet18, (3, 8, 36, 3) for ResNet152, and so on.
    bottleneck : bool
        Blocks of three convolutions, 1x1, 3x3 and 1x1, as from ResNet50 on, instead of two.
    embedding_dim : int
    """

    num_mel_bins: int = 80
    channels: int = 32
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    bottleneck: bool = False
    embedding_dim: int = 256

    def __post_init__(self) -> None:
        require(self, at_least_one=("channels", "embedding_dim"))
        if len(self.blocks) != NUM_LEVELS or min(self.blocks) < 1:
            raise ValueError(f"blocks must be {NUM_LEVELS} positive numbers, one per level, got {self.blocks}")
        if self.num_mel_bins < MEL_STRIDE or self.num_mel_bins % MEL_STRIDE:
            raise ValueError(f"num_mel_bins must be a multiple of {MEL_STRIDE}, got {self.num_mel_bins}")


def normalised_convolution(in_channels: int, out_channels: int, size: int, stride: Sequence[int]) -> nn.Sequential:
    """2-d convolution that keeps the shape but for its stride, and its normalisation."""
    conv = nn.Conv2d(in_channels, out_channels, size, stride=tuple(stride), padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class ResidualBlock(Foldable):
    """Two 3x3 convolutions around a shortcut; or a 1x1, a 3x3 and a widening 1x1 convolution.

    Parameters
    ----------
    in_channels, width : int
    stride : (mels, frames)
        Of the first 3x3 convolution. The shortcut is a strided 1x1 convolution where the shape changes.
    bottleneck : bool
        Three convolutions, `EXPANSION` * width channels at the output; else two, and width.
    """

    def __init__(self, in_channels: int, width: int, stride: Sequence[int], *, bottleneck: bool = False) -> None:
        super().__init__()
        out_channels = EXPANSION * width if bottleneck else width
        if bottleneck:
            sizes = [(in_channels, width, 1, (1, 1)), (width, width, 3, stride), (width, out_channels, 1, (1, 1))]
        else:
            sizes = [(in_channels, width, 3, stride), (width, width, 3, (1, 1))]
        self.layers = nn.ModuleList(normalised_convolution(*size) for size in sizes)
        self.stride = tuple(stride)
        self.shortcut = None
        if self.stride != (1, 1) or in_channels != out_channels:
            self.shortcut = normalised_convolution(in_channels, out_channels, 1, (1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, mels, frames) to (batch, out_channels, mels / stride, frames / stride)."""
        hidden = maps
        for layer in self.layers[:-1]:
            hidden = F.relu(layer(hidden), inplace=True)
        hidden = self.layers[-1](hidden)
        if self.shortcut is not None:
            maps = strided(self.shortcut, maps, self.stride)
        return F.relu_(hidden.add_(maps))

    def folded(self) -> nn.Module:
        """Return the block without normalisations."""
        self.layers = nn.ModuleList(fuse_sequence(layer) for layer in self.layers)
        self.shortcut = None if self.shortcut is None else fuse_sequence(self.shortcut)
        return self


def residual_level(
    in_channels: int, width: int, num_blocks: int, stride: Sequence[int], *, bottleneck: bool = False
) -> nn.Sequential:
    """`num_blocks` blocks in a row; the first one changes the channels and the resolution."""
    out_channels = EXPANSION * width if bottleneck else width
    first = ResidualBlock(in_channels, width, stride, bottleneck=bottleneck)
    others = (ResidualBlock(out_channels, width, (1, 1), bottleneck=bottleneck) for _ in range(num_blocks - 1))
    return nn.Sequential(first, *others)


class PlainResNet(Network):
    """Stem, four residual levels, statistics over frames, embedding layer.

    Features are centred, each mel bin to mean 0 over the segment.
    """

    def __init__(self, config: PlainResNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels << level for level in range(NUM_LEVELS)]
        expansion = EXPANSION if config.bottleneck else 1
        self.stem = normalised_convolution(1, config.channels, 3, (1, 1))
        self.levels = nn.ModuleList(
            residual_level(in_channels, width, count, (stride, stride), bottleneck=config.bottleneck)
            for in_channels, width, count, stride in zip(
                (config.channels, *(expansion * width for width in widths)), widths, config.blocks, (1, 2, 2, 2)
            )
        )
        pooled = expansion * widths[-1] * (config.num_mel_bins // MEL_STRIDE)
        self.fc = nn.Linear(2 * pooled, config.embedding_dim)

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        maps = F.relu_(self.stem((features - features.mean(dim=2, keepdim=True))[:, None]))
        for level in self.levels:
            maps = level(maps)
        return self.fc(mean_and_deviation(maps.flatten(1, 2), VARIANCE_FLOOR))

    def folded(self) -> nn.Module:
        """Return the network without normalisations, its maps channels-last."""
        self.stem = fuse_sequence(self.stem)
        return super().folded().to(memory_format=torch.channels_last)
