"""VGG-M-40, the smaller VGGVox of voxceleb_trainer (Chung et al. 2020, arXiv:2003.11982, table 1).

Parameter names are those of the published code, without its `__S__.` and its front end.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sv.models.folding import fuse_sequence
from sv.models.network import Network
from sv.models.pooling import self_attention, weighted_mean
from sv.models.resnet import normalised_map

NUM_MEL_BINS = 40  # for which the last convolution's height is made
POOLED = 512


@dataclass(frozen=True, kw_only=True)
class VGGVoxConfig:
    """Sizes and pooling.

    Attributes
    ----------
    num_mel_bins : int
        40.
    pooling : "attentive", "mean" or "max"
        Over frames; SAP, TAP and MAX in the published code.
    embedding_dim : int
    """

    num_mel_bins: int = NUM_MEL_BINS
    pooling: Literal["attentive", "mean", "max"] = "attentive"
    embedding_dim: int = 512

    def __post_init__(self) -> None:
        if self.num_mel_bins != NUM_MEL_BINS:
            raise ValueError(f"num_mel_bins must be {NUM_MEL_BINS}, got {self.num_mel_bins}")
        if self.embedding_dim < 1:
            raise ValueError(f"embedding_dim must be positive, got {self.embedding_dim}")


class VGGVox(Network):
    """Six convolutions down to one row of (batch, 512, frames), pooled."""

    def __init__(self, config: VGGVoxConfig) -> None:
        super().__init__()
        self.config = config
        self.netcnn = nn.Sequential(
            *convolution(1, 96, (5, 7), stride=(1, 2), padding=2),
            nn.MaxPool2d((1, 3), stride=(1, 2)),
            *convolution(96, 256, (5, 5), stride=(2, 2), padding=1),
            nn.MaxPool2d(3, stride=2),
            *convolution(256, 384, (3, 3), padding=1),
            *convolution(384, 256, (3, 3), padding=1),
            *convolution(256, 256, (3, 3), padding=1),
            nn.MaxPool2d(3, stride=2),
            *convolution(256, POOLED, (4, 1)),
        )
        if config.pooling == "attentive":
            self.sap_linear = nn.Linear(POOLED, POOLED)
            self.attention = nn.Parameter(nn.init.xavier_normal_(torch.empty(POOLED, 1)))
        self.fc = nn.Linear(POOLED, config.embedding_dim)

    def pool(self, values: Tensor) -> Tensor:
        """Pool (batch, 512, frames) over frames."""
        if self.config.pooling == "mean":
            return values.mean(dim=2)
        if self.config.pooling == "max":
            return values.amax(dim=2)
        return weighted_mean(values, self_attention(values, self.sap_linear, self.attention))

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        return self.fc(self.pool(self.netcnn(normalised_map(features))[:, :, 0]))

    def folded(self) -> nn.Module:
        """Return the network without normalisations, its maps channels-last."""
        self.netcnn = fuse_sequence(self.netcnn)
        return self.to(memory_format=torch.channels_last)


def convolution(
    in_channels: int, out_channels: int, size: tuple[int, int], stride: tuple[int, int] = (1, 1), padding: int = 0
) -> tuple[nn.Module, ...]:
    """A convolution, its normalisation and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, size, stride=stride, padding=padding)
    return conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
