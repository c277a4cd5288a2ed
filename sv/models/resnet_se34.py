"""The two SE-ResNet34s of voxceleb_trainer (Chung et al. 2020, arXiv:2003.11982; Heo et al. 2020, arXiv:2009.14153).

Parameter names are those of the published code, without its `__S__.` and its front end.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.blocks import residual_levels
from sv.models.folding import ChannelAffine, fuse
from sv.models.network import Network
from sv.models.pooling import attention_layers, self_attention, weighted_mean, weighted_statistics
from sv.models.resnet import MEL_STRIDE, check_sizes, normalised_map

Pooling = Literal["mean", "statistics"]

HIDDEN_ATTENTION = 128  # of V2
LIGHT_STRIDES, V2_STRIDES = (1, 2, 2, 1), (1, 2, 2, 2)


@dataclass(frozen=True, kw_only=True)
class ResNetSE34Config:
    """Sizes of either network.

    Attributes
    ----------
    num_mel_bins : int
    channels, blocks : tuple of 4 ints
        Width and number of residual blocks of each level.
    pooling : "mean" or "statistics"
        Attentive mean (SAP in the published code), or mean and standard deviation (ASP).
    embedding_dim : int
    """

    num_mel_bins: int
    channels: tuple[int, ...]
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    pooling: Pooling
    embedding_dim: int = 512

    def __post_init__(self) -> None:
        check_sizes(self)


@dataclass(frozen=True, kw_only=True)
class ResNetSE34LConfig(ResNetSE34Config):
    """ResNetSE34L, the "Fast ResNet-34"."""

    num_mel_bins: int = 40
    channels: tuple[int, ...] = (16, 32, 64, 128)
    pooling: Pooling = "mean"


@dataclass(frozen=True, kw_only=True)
class ResNetSE34V2Config(ResNetSE34Config):
    """ResNetSE34V2, the "H / ASP" of the Clova baseline."""

    num_mel_bins: int = 64
    channels: tuple[int, ...] = (32, 64, 128, 256)
    pooling: Pooling = "statistics"


class ResNetSE34(Network):
    """Residual levels and embedding layer; a subclass has the stem, `conv1` and `bn1`, and the attention.

    Parameters
    ----------
    config : ResNetSE34Config
    strides : iterable of 4 ints
        Of the levels.
    pooled : int
        Channels that are pooled over frames.
    """

    def __init__(self, config: ResNetSE34Config, strides: Iterable[int], pooled: int) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        self.layer1, self.layer2, self.layer3, self.layer4 = residual_levels(
            (widths[0], *widths[:-1]), widths, config.blocks, tuple(strides)
        )
        self.fc = nn.Linear(pooled * (2 if config.pooling == "statistics" else 1), config.embedding_dim)

    def stem(self, maps: Tensor) -> Tensor:
        """First layer: (batch, 1, mels, frames) to (batch, channels, mels', frames)."""
        raise NotImplementedError

    def attend(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Values to be pooled, (batch, pooled, frames), and their weights over frames."""
        raise NotImplementedError

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        maps = self.stem(normalised_map(features))
        for level in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = level(maps)
        pool = weighted_statistics if self.config.pooling == "statistics" else weighted_mean
        return self.fc(pool(*self.attend(maps)))

    def folded(self) -> nn.Module:
        """Return the network without normalisations of maps, these channels-last."""
        return super().folded().to(memory_format=torch.channels_last)


class ResNetSE34L(ResNetSE34):
    """Quarter-width ResNet34 whose maps are averaged over mels before one attention weight per frame."""

    def __init__(self, config: ResNetSE34LConfig) -> None:
        widest = config.channels[-1]
        super().__init__(config, LIGHT_STRIDES, widest)
        self.conv1 = nn.Conv2d(1, config.channels[0], 7, stride=(2, 1), padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.channels[0])
        self.sap_linear = nn.Linear(widest, widest)
        self.attention = nn.Parameter(nn.init.xavier_normal_(self.fc.weight.new_empty(widest, 1)))
        self.apply(initialise_convolution)

    def stem(self, maps: Tensor) -> Tensor:
        """Convolution that halves the mels, normalisation, ReLU."""
        return F.relu(self.bn1(self.conv1(maps)))

    def attend(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Means over mels, and one weight per frame."""
        values = maps.mean(dim=2)
        return values, self_attention(values, self.sap_linear, self.attention)

    def folded(self) -> nn.Module:
        """Return the network without normalisations of maps, these channels-last."""
        self.conv1, self.bn1 = fuse(self.conv1, self.bn1)
        return super().folded()


class ResNetSE34V2(ResNetSE34):
    """Half-width ResNet34 whose every (channel, mel) pair has attention weights of its own."""

    def __init__(self, config: ResNetSE34V2Config) -> None:
        pooled = config.channels[-1] * (config.num_mel_bins // MEL_STRIDE)
        super().__init__(config, V2_STRIDES, pooled)
        self.conv1 = nn.Conv2d(1, config.channels[0], 3, padding=1)
        self.bn1 = nn.BatchNorm2d(config.channels[0])
        self.attention = attention_layers(pooled, HIDDEN_ATTENTION)
        self.apply(initialise_convolution)

    def stem(self, maps: Tensor) -> Tensor:
        """Convolution, ReLU, then normalisation."""
        return self.bn1(F.relu(self.conv1(maps), inplace=True))

    def attend(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Channels times mels, channel-major, and as many weights per frame."""
        values = maps.flatten(1, 2)
        return values, self.attention(values)

    def folded(self) -> nn.Module:
        """Return the network without normalisations of maps but the one after the stem's ReLU: a single affine map."""
        self.bn1 = ChannelAffine(self.bn1)
        return super().folded()


def initialise_convolution(module: nn.Module) -> None:
    """Initialise a 2-d convolution as voxceleb_trainer's ResNets do; all else is as PyTorch has it."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
