"""CAM++ (Wang et al. 2023, arXiv:2303.00332): densely connected time-delay layers, each with a context-aware mask.

A small residual network reads the features, three dense blocks follow. Axes: maps are (batch, channels, mels, frames) in
the former, (batch, channels, frames) from there on. Sizes and order of the layers are those of 3D-Speaker's code.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import require
from sv.models.folding import Foldable, fold_parts, fuse, fuse_sequence
from sv.models.frame_layers import TimeConv, folded_norm, is_traced
from sv.models.network import Network
from sv.models.plain_resnet import normalised_convolution, residual_level
from sv.models.pooling import mean_and_deviation
from sv.models.resnet import MEL_STRIDE

SEGMENT = 100  # frames, after the stride of 2, whose mean is a mask's local context


@dataclass(frozen=True, kw_only=True)
class CAMPlusPlusConfig:
    """Sizes; the defaults are the paper's.

    Attributes
    ----------
    num_mel_bins : int
        A multiple of 8.
    head_channels : int
        Of the residual network's maps.
    head_blocks : tuple of int
        Residual blocks of its levels, each of which halves the mels.
    init_channels : int
        That the first dense block reads.
    growth : int
        Channels that each dense layer adds.
    bottleneck : int
        Channels within a dense layer.
    blocks, dilations : tuple of int
        Dense layers of each block, and the dilation of their convolutions.
    variance_floor : float
        Added to the pooled variance: 1e-7 in WeSpeaker; 0 in 3D-Speaker, where a channel that does not vary has no
        gradient.
    embedding_dim : int
    """

    num_mel_bins: int = 80
    head_channels: int = 32
    head_blocks: tuple[int, ...] = (2, 2)
    init_channels: int = 128
    growth: int = 32
    bottleneck: int = 128
    blocks: tuple[int, ...] = (12, 24, 16)
    dilations: tuple[int, ...] = (1, 2, 2)
    variance_floor: float = 1e-7
    embedding_dim: int = 512

    def __post_init__(self) -> None:
        require(
            self,
            at_least_one=("head_channels", "init_channels", "growth", "embedding_dim"),
            not_negative=("variance_floor",),
        )
        if self.num_mel_bins < MEL_STRIDE or self.num_mel_bins % MEL_STRIDE:
            raise ValueError(f"num_mel_bins must be a multiple of {MEL_STRIDE}, got {self.num_mel_bins}")
        if self.bottleneck < 2:
            raise ValueError(f"bottleneck must be at least 2, got {self.bottleneck}")
        if len(self.head_blocks) != 2 or min(self.head_blocks) < 1:
            raise ValueError(f"head_blocks must be 2 positive numbers, got {self.head_blocks}")
        if not self.blocks or len(self.blocks) != len(self.dilations) or min(*self.blocks, *self.dilations) < 1:
            raise ValueError(
                f"blocks and dilations must be positive, as many of each; got {self.blocks} and {self.dilations}"
            )


class Head(Foldable):
    """Residual network over mels and frames, which makes the mels fewer by 8 and keeps the frames."""

    def __init__(self, channels: int, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.first = normalised_convolution(1, channels, 3, (1, 1))
        self.levels = nn.Sequential(*(residual_level(channels, channels, count, (2, 1)) for count in blocks))
        self.last = normalised_convolution(channels, channels, 3, (2, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, mels, frames) to (batch, channels * mels / 8, frames), channel-major."""
        maps = self.levels(F.relu_(self.first(features[:, None])))
        return F.relu_(self.last(maps)).flatten(1, 2)

    def folded(self) -> nn.Module:
        """Return the network without normalisations, its maps channels-last."""
        self.first, self.last = fuse_sequence(self.first), fuse_sequence(self.last)
        return super().folded().to(memory_format=torch.channels_last)


class MaskedConvolution(nn.Module):
    """Convolution over three frames, each output channel times a mask that sees the utterance's and the segment's mean.

    Frames of one segment share a mask, which is computed once for all of them.
    """

    def __init__(self, in_channels: int, out_channels: int, dilation: int) -> None:
        super().__init__()
        self.local = TimeConv(in_channels, out_channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.squeeze = nn.Conv1d(in_channels, in_channels // 2, 1)
        self.expand = nn.Conv1d(in_channels // 2, out_channels, 1)

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames)."""
        if is_traced():
            return self._by_products(values)
        masks = self._masks(F.avg_pool1d(values, SEGMENT, ceil_mode=True), values.mean(dim=2, keepdim=True))
        return self.local(values) * masks.repeat_interleave(SEGMENT, dim=2)[:, :, : values.shape[2]]

    def _by_products(self, values: Tensor) -> Tensor:
        """The same, its sums and repetitions products of matrices: to runtimes these cost less, at any length."""
        members = segments_of(values)
        sums = values @ members.T
        masks = self._masks(sums / members.sum(dim=1), sums.sum(dim=2, keepdim=True) / values.shape[2])
        return self.local(values) * (masks @ members)

    def _masks(self, of_segments: Tensor, of_all: Tensor) -> Tensor:
        """Map means of segments and of the utterance to masks: (batch, out_channels, segments)."""
        return torch.sigmoid(self.expand(F.relu_(self.squeeze(of_segments + of_all))))


def segments_of(values: Tensor) -> Tensor:
    """Segment of each frame of (batch, channels, frames), the last of which may be short: 1 or 0, (segments, frames)."""
    num_frames = values.shape[2]
    segments = torch.arange((num_frames + SEGMENT - 1) // SEGMENT, device=values.device)
    return (segments[:, None] == torch.arange(num_frames, device=values.device) // SEGMENT).to(values.dtype)


class DenseLayer(Foldable):
    """Norm, ReLU, 1x1 convolution to the bottleneck, norm, ReLU, masked convolution."""

    def __init__(self, in_channels: int, bottleneck: int, growth: int, dilation: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm1d(in_channels)
        self.conv = TimeConv(in_channels, bottleneck, 1, bias=False)
        self.bn2 = nn.BatchNorm1d(bottleneck)
        self.masked = MaskedConvolution(bottleneck, growth, dilation)

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, growth, frames)."""
        return self.masked(F.relu_(self.bn2(self.conv(F.relu_(self.bn1(values))))))

    def folded(self) -> nn.Module:
        """Return the form for inference: the second norm is in the convolution before it."""
        self.bn1 = folded_norm(self.bn1)
        self.conv, self.bn2 = fuse(self.conv, self.bn2)
        return super().folded()


class DenseBlock(Foldable):
    """Dense layers: each reads the block's input and the outputs of all layers before it."""

    def __init__(self, in_channels: int, num_layers: int, config: CAMPlusPlusConfig, dilation: int) -> None:
        super().__init__()
        self.out_channels = in_channels + num_layers * config.growth
        self.layers = nn.ModuleList(
            DenseLayer(channels, config.bottleneck, config.growth, dilation)
            for channels in range(in_channels, self.out_channels, config.growth)
        )

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames)."""
        for layer in self.layers:
            values = torch.cat([values, layer(values)], dim=1)
        return values

    def folded(self) -> nn.Module:
        """Return the form for inference, in which nothing is copied from layer to layer."""
        return fold_parts(FoldedDenseBlock(self))


class FoldedDenseBlock(nn.Module):
    """A dense block in evaluation: every layer writes into one map, frame by frame in memory, that all of them share."""

    def __init__(self, block: DenseBlock) -> None:
        super().__init__()
        self.layers, self.out_channels = block.layers, block.out_channels

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames)."""
        batch, done, num_frames = values.shape
        everything = values.new_empty(batch, num_frames, self.out_channels).transpose(1, 2)
        everything[:, :done] = values
        for layer in self.layers:
            added = layer(everything[:, :done])
            everything[:, done : done + added.shape[1]] = added
            done += added.shape[1]
        return everything


class Transit(Foldable):
    """Norm, ReLU, 1x1 convolution that halves the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)
        self.conv = TimeConv(channels, channels // 2, 1, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, channels, frames) to (batch, channels / 2, frames)."""
        return self.conv(F.relu_(self.bn(values)))

    def folded(self) -> nn.Module:
        """Return the form for inference."""
        self.bn = folded_norm(self.bn)
        return super().folded()


class CAMPlusPlus(Network):
    """Residual head, first layer of stride 2, dense blocks with transits, statistics over frames, embedding layer.

    Features are centred, each mel bin to mean 0 over the segment.
    """

    def __init__(self, config: CAMPlusPlusConfig) -> None:
        super().__init__()
        self.config = config
        self.head = Head(config.head_channels, config.head_blocks)
        read = config.head_channels * (config.num_mel_bins // MEL_STRIDE)
        self.conv = TimeConv(read, config.init_channels, 5, stride=2, padding=2, bias=False)
        self.bn = nn.BatchNorm1d(config.init_channels)
        self.blocks, self.transits = nn.ModuleList(), nn.ModuleList()
        channels = config.init_channels
        for num_layers, dilation in zip(config.blocks, config.dilations, strict=True):
            self.blocks.append(DenseBlock(channels, num_layers, config, dilation))
            self.transits.append(Transit(self.blocks[-1].out_channels))
            channels = self.blocks[-1].out_channels // 2
        self.bn_out = nn.BatchNorm1d(channels)
        self.fc = nn.Linear(2 * channels, config.embedding_dim, bias=False)
        self.bn_embedding = nn.BatchNorm1d(config.embedding_dim, affine=False)
        self.apply(initialise)

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        values = self.head(features - features.mean(dim=2, keepdim=True))
        values = F.relu_(self.bn(self.conv(values)))
        for block, transit in zip(self.blocks, self.transits, strict=True):
            values = transit(block(values))
        pooled = mean_and_deviation(F.relu_(self.bn_out(values)), self.config.variance_floor)
        return self.bn_embedding(self.fc(pooled))

    def folded(self) -> nn.Module:
        """Return the form for inference."""
        self.conv, self.bn = fuse(self.conv, self.bn)
        self.bn_out = folded_norm(self.bn_out)
        return super().folded()


def initialise(module: nn.Module) -> None:
    """Initialise one layer as the published code does: Kaiming normal over time, biases of 0, the rest as PyTorch has it."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
