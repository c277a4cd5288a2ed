"""ExU-Net and the U-Net it extends (Kim et al. 2022, arXiv:2206.13044): enhance a noisy log-mel map and embed it.

Parameter names are those of the published code. Maps are (batch, channels, mels, frames); e0, e1, ... are the decoder's
outputs and d0, d1, ... the encoder's, as in the paper's figure.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.blocks import initialise, pad_frames, residual_levels
from sv.models.folding import fuse
from sv.models.output import Embedded
from sv.models.resnet import STRIDES, Trunk, TrunkConfig, encode, normalised_map, stem_layers


@dataclass(frozen=True, kw_only=True)
class UNetConfig(TrunkConfig):
    """Encoder, embedding from its last level, and a decoder that estimates the clean features."""


@dataclass(frozen=True, kw_only=True)
class ExUNetConfig(TrunkConfig):
    """U-Net followed by a second encoder that embeds the decoder's estimate."""


class Decoding(Trunk):
    """The trunk and, from `add_decoder` on, a decoder."""

    def add_decoder(self) -> None:
        """Make the decoder: after the encoder, so that a seed gives the same weights as ever."""
        widths, blocks = self.config.channels, self.config.blocks
        narrow, middle, wide, widest = widths
        self.u_res_0, self.u_res_1, self.u_res_2, self.u_res_3 = residual_levels(
            widths[::-1], widths[::-1], blocks[::-1], (1, 1, 1, 1)
        )
        self.uconv_0 = nn.Conv2d(2 * widest, wide, 1, bias=False)
        self.uconv_1 = nn.ConvTranspose2d(2 * wide, middle, 2, stride=2, bias=False)
        self.uconv_2 = nn.ConvTranspose2d(2 * middle, narrow, 2, stride=2, bias=False)
        self.uconv_3 = nn.Conv2d(2 * narrow, narrow, 1, bias=False)
        self.uconv_4 = nn.ConvTranspose2d(2 * narrow, 1, (2, 1), stride=(2, 1), bias=False)

    def stem(self, features: Tensor) -> Tensor:
        """First maps, d0, of (batch, mels, frames) features, whose frames become a multiple of `FRAME_STRIDE`."""
        return F.relu(self.bn1(self.conv1(pad_frames(normalised_map(features)))))

    def decode(self, encoded: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Decoder outputs [e0, e1, e2, e3] and the enhanced map (batch, 1, mels, frames)."""
        stacks = (self.u_res_0, self.u_res_1, self.u_res_2, self.u_res_3)
        upsamplers = (self.uconv_0, self.uconv_1, self.uconv_2, self.uconv_3)
        decoded = [encoded[-1]]
        for stack, upsample, skip in zip(stacks, upsamplers, encoded[:0:-1], strict=True):
            decoded.append(upsample(torch.cat([stack(decoded[-1]), skip], dim=1)))
        return decoded[1:], self.uconv_4(torch.cat([decoded[-1], encoded[0]], dim=1))


class EncoderDecoder(Decoding):
    """Base of U-Net and ExU-Net: the trunk, an encoder and a decoder."""

    def __init__(self, config: TrunkConfig, *, mels_as_channels: bool) -> None:
        super().__init__(config, mels_as_channels=mels_as_channels)
        widths = config.channels
        self.d_res_1, self.d_res_2, self.d_res_3, self.d_res_4 = residual_levels(
            (widths[0], *widths[:-1]), widths, config.blocks, STRIDES
        )
        self.add_decoder()

    def encode(self, features: Tensor) -> list[Tensor]:
        """Stem and encoder: d0 (as fine as the input in frames) to d4 (`FRAME_STRIDE` times coarser)."""
        return encode(self.stem(features), (self.d_res_1, self.d_res_2, self.d_res_3, self.d_res_4))


class UNet(EncoderDecoder):
    """SE-ResNet whose encoder also feeds a decoder; the embedding does not depend on the decoder."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config, mels_as_channels=False)
        self.apply(initialise)

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features without running the decoder: (batch, embedding_dim)."""
        return self.pool(self.encode(features)[-1])

    def forward(self, features: Tensor) -> Embedded:
        """Embed and enhance (batch, mels, frames) features."""
        encoded = self.encode(features)
        _, enhanced = self.decode(encoded)
        return Embedded(self.pool(encoded[-1]), enhanced[:, 0, :, : features.shape[-1]])


class ExUNet(EncoderDecoder):
    """U-Net whose enhanced map passes through a second encoder, with the decoder's outputs as skips."""

    def __init__(self, config: ExUNetConfig) -> None:
        super().__init__(config, mels_as_channels=True)
        widths = config.channels
        self.conv2, self.bn2 = stem_layers(1, widths[0])
        concatenated = [2 * width for width in (widths[0], *widths[:-1])]
        self.d2_res_1, self.d2_res_2, self.d2_res_3, self.d2_res_4 = residual_levels(
            concatenated, widths, config.blocks, STRIDES
        )
        self.apply(initialise)

    def extract(self, enhanced: Tensor, decoded: list[Tensor]) -> Tensor:
        """Embed the enhanced map (batch, 1, mels, frames) with the decoder's outputs e3, e2, e1, e0 as skips."""
        maps = F.relu(self.bn2(self.conv2(enhanced)))
        levels = (self.d2_res_1, self.d2_res_2, self.d2_res_3, self.d2_res_4)
        for level, skip in zip(levels, reversed(decoded), strict=True):
            maps = level(torch.cat([maps, skip], dim=1))
        return self.pool(maps)

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        return self(features).embedding

    def forward(self, features: Tensor) -> Embedded:
        """Enhance (batch, mels, frames) features, and embed what results."""
        decoded, enhanced = self.decode(self.encode(features))
        return Embedded(self.extract(enhanced, decoded), enhanced[:, 0, :, : features.shape[-1]])

    def folded(self) -> nn.Module:
        """Return the network without normalisations of maps, these channels-last."""
        self.conv2, self.bn2 = fuse(self.conv2, self.bn2)
        return super().folded()
