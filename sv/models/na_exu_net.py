"""NA-ExU-Net (Lim et al. 2024, IEEE Access): ExU-Net with a split encoder and filtered skips.

From its third level on the encoder has two paths, for the speaker and for the noise, each of half the channels. Both, and
the second encoder, are pooled for the embedding. Axes as in `sv.models.exu_net`.

The published code (chan-yeong0519/NA-ExU-Net) pads its stems by 2, with which its decoder's maps fit for no number of
frames; they are padded by 3 here, as ExU-Net's. Its losses on the two encoder paths, speaker classes on one, noise types and
SNR on the other, are not computed here: only training would see them.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.blocks import initialise, residual_levels
from sv.models.exu_net import Decoding
from sv.models.folding import fuse
from sv.models.output import Embedded
from sv.models.pooling import attention_layers, weighted_statistics
from sv.models.resnet import STRIDES, TrunkConfig, encode, stem_layers

SHARED_LEVELS = 2
SKIP_REDUCTION = 2  # of the filter on the coarsest skip


@dataclass(frozen=True, kw_only=True)
class NAExUNetConfig(TrunkConfig):
    """Sizes of ExU-Net; the two paths of the encoder share the channels of a level."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(width % 2 for width in self.channels[SHARED_LEVELS - 1 :]):
            raise ValueError(f"channels of the levels that are split must be even, got {self.channels}")


def skip_filter(channels: int) -> nn.Sequential:
    """Two 1x1 convolutions, ReLU and normalisation between them, that keep the shape."""
    hidden = channels // SKIP_REDUCTION
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1, bias=False),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(hidden),
        nn.Conv2d(hidden, channels, 1, bias=False),
    )


class NAExUNet(Decoding):
    """ExU-Net whose encoder has a path for the noise."""

    def __init__(self, config: NAExUNetConfig) -> None:
        super().__init__(config, mels_as_channels=True)
        widths, halves = config.channels, [width // 2 for width in config.channels]
        inputs, start = (widths[0], *widths[:-1]), SHARED_LEVELS
        self.shared = nn.ModuleList(
            residual_levels(inputs[:start], widths[:start], config.blocks[:start], STRIDES[:start])
        )
        self.speech, self.noise = (
            nn.ModuleList(
                residual_levels(halves[start - 1 : -1], halves[start:], config.blocks[start:], STRIDES[start:])
            )
            for _ in range(2)
        )
        self.add_decoder()
        self.conv2, self.bn2 = stem_layers(1, widths[0])
        self.again = nn.ModuleList(residual_levels([2 * width for width in inputs], widths, config.blocks, STRIDES))
        self.skip_filter = skip_filter(inputs[-1])
        pooled = self.bn_agg.num_features // 2
        self.attention_speech, self.attention_noise = attention_layers(pooled // 2), attention_layers(pooled // 2)
        self.bn_agg_speech, self.bn_agg_noise = nn.BatchNorm1d(pooled), nn.BatchNorm1d(pooled)
        self.fc = nn.Linear(4 * pooled, config.embedding_dim)
        self.apply(initialise)

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        return self(features).embedding

    def forward(self, features: Tensor) -> Embedded:
        """Enhance (batch, mels, frames) features, and embed what results together with both paths of the encoder."""
        shared = encode(self.stem(features), self.shared)
        paths = [encode(half, levels) for half, levels in zip(shared[-1].chunk(2, dim=1), (self.speech, self.noise))]
        split = [torch.cat(maps, dim=1) for maps in zip(*(path[1:] for path in paths), strict=True)]
        decoded, enhanced = self.decode([*shared, *split])
        pooled = [
            norm(statistics(path[-1], attention))
            for path, attention, norm in zip(
                paths, (self.attention_speech, self.attention_noise), (self.bn_agg_speech, self.bn_agg_noise)
            )
        ]
        pooled.append(self.bn_agg(statistics(self.encode_again(enhanced, decoded), self.attention)))
        return Embedded(self.bn_code(self.fc(torch.cat(pooled, dim=1))), enhanced[:, 0, :, : features.shape[-1]])

    def encode_again(self, enhanced: Tensor, decoded: list[Tensor]) -> Tensor:
        """Last maps of the second encoder, which reads the enhanced map, with e3, e2, e1 and the filtered e0 as skips."""
        maps = F.relu(self.bn2(self.conv2(enhanced)))
        skips = [*decoded[:0:-1], self.skip_filter(decoded[0])]
        for level, skip in zip(self.again, skips, strict=True):
            maps = level(torch.cat([maps, skip], dim=1))
        return maps

    def folded(self) -> nn.Module:
        """Return the network without normalisations of maps but that of the skip's filter, these channels-last."""
        self.conv2, self.bn2 = fuse(self.conv2, self.bn2)
        return super().folded()


def statistics(maps: Tensor, attention: nn.Module) -> Tensor:
    """Weighted mean and deviation over frames of every (channel, mel) pair of (batch, channels, mels, frames)."""
    values = maps.flatten(1, 2)
    return weighted_statistics(values, attention(values))
