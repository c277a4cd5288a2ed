"""RawNet3 (Jung et al. 2022, "Pushing the limits of raw waveform speaker recognition", arXiv:2203.08488)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.folding import ChannelAffine, Foldable
from sv.models.frame_layers import FrameConv, TimeConv, cat_channels, is_on_cpu, max_pool
from sv.models.network import Network
from sv.models.pooling import widened
from sv.models.rawnet.blocks import AlphaScaling, encode, waveforms_of
from sv.models.rawnet.sincnet import LENGTH, sinc_pairs

PRE_EMPHASIS = 0.97
LOG_FLOOR = 1e-6
VARIANCE_RANGE = (1e-4, 1e4)
SUMMED_POOL = 3  # brings the first layer's frames to the second's
POOLS = (5, SUMMED_POOL)  # of the first two layers
DILATIONS = (2, 3, 4)
CHUNK_FRAMES = 2000  # whose maps stay in a CPU's last cache; each chunk lays out the weights anew


@dataclass(frozen=True, kw_only=True)
class RawNet3Config:
    """The defaults are the published model.

    Attributes
    ----------
    channels : int
        Of the three layers; the filterbank has a quarter of them. A multiple of 8 and of `scale`.
    scale : int
        Groups of a Res2 block.
    pooled_channels : int
        Of the maps that are pooled.
    attention_dim, embedding_dim : int
    sinc_stride : int
        Samples.
    """

    channels: int = 1024
    scale: int = 8
    pooled_channels: int = 1536
    attention_dim: int = 128
    embedding_dim: int = 256
    sinc_stride: int = 10
    num_mel_bins: ClassVar[None] = None

    def __post_init__(self) -> None:
        if min(self.scale - 1, self.pooled_channels, self.attention_dim, self.embedding_dim, self.sinc_stride) < 1:
            raise ValueError(f"all sizes must be positive and scale at least 2, got {self}")
        if self.channels < 1 or self.channels % 8 or self.channels % self.scale:
            raise ValueError(f"channels must be a multiple of 8 and of scale {self.scale}, got {self.channels}")

    @property
    def min_samples(self) -> int:
        """The shortest waveform that leaves two frames: over a single one there is no unbiased variance."""
        return LENGTH + (2 * POOLS[0] * POOLS[1] - 1) * self.sinc_stride


class WaveformNorm(nn.Module):
    """Pre-emphasis that keeps the length, then zero mean and unit variance over the segment, a gain and an offset."""

    def __init__(self) -> None:
        super().__init__()
        self.instance_norm = nn.InstanceNorm1d(1, eps=1e-4, affine=True)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) to (batch, 1, samples); the sample before the first is the second, mirrored."""
        before = torch.cat([waveforms[:, 1:2], waveforms[:, :-1]], dim=1)
        return self.instance_norm((waveforms - PRE_EMPHASIS * before)[:, None])


class Res2Block(Foldable):
    """Res2Net block (Gao et al. 2019, arXiv:1904.01169) with alpha feature map scaling; convolution, ReLU, norm.

    Parameters
    ----------
    in_channels, out_channels : int
    scale : int
        Groups of channels; each but the last is convolved after the result of the one before was added to it.
    dilation : int
    pool : int
        Frames that become one; 1 for none.
    """

    def __init__(self, in_channels: int, out_channels: int, *, scale: int, dilation: int, pool: int) -> None:
        super().__init__()
        width = out_channels // scale
        self.pool, self.width = pool, width
        self.conv1 = nn.Conv1d(in_channels, out_channels, 1)
        self.bn1 = nn.BatchNorm1d(out_channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation) for _ in range(scale - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(scale - 1))
        self.conv3 = nn.Conv1d(out_channels, out_channels, 1)
        self.bn3 = nn.BatchNorm1d(out_channels)
        self.afms = AlphaScaling(out_channels)
        changes = in_channels != out_channels
        self.residual = nn.Conv1d(in_channels, out_channels, 1, bias=False) if changes else None

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames // pool)."""
        groups = self.bn1(F.relu_(self.conv1(maps))).split(self.width, dim=1)
        done: list[Tensor] = []
        for conv, bn, group in zip(self.convs, self.bns, groups):
            done.append(bn(F.relu_(conv(group + done[-1] if done else group))))
        hidden = self.bn3(F.relu_(self.conv3(torch.cat([*done, groups[-1]], dim=1))))
        hidden = hidden + (maps if self.residual is None else self.residual(maps))
        return self.afms(max_pool(hidden, self.pool) if self.pool > 1 else hidden)

    def folded(self) -> nn.Module:
        """Return the form for inference; elsewhere than on a CPU it is the block itself."""
        return FrameRes2Block(self) if is_on_cpu(self) else self


class FrameRes2Block(nn.Module):
    """A Res2 block that is not trained any more, for a CPU: some frames at a time, whose maps stay in the cache.

    At either end as many frames more are computed as the convolutions see beyond it.
    """

    def __init__(self, block: Res2Block) -> None:
        super().__init__()
        self.pool, self.width, self.afms = block.pool, block.width, block.afms
        self.halo = sum(conv.padding[0] for conv in block.convs)
        self.conv1, self.bn1 = FrameConv(block.conv1), ChannelAffine(block.bn1)
        self.convs = nn.ModuleList(FrameConv(conv) for conv in block.convs)
        self.bns = nn.ModuleList(ChannelAffine(bn) for bn in block.bns)
        self.conv3, self.bn3 = FrameConv(block.conv3), ChannelAffine(block.bn3)
        self.residual = None if block.residual is None else FrameConv(block.residual)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames // pool)."""
        step, end = CHUNK_FRAMES // self.pool * self.pool, maps.shape[2] // self.pool * self.pool
        parts = [self._part(maps, first, min(first + step, end)) for first in range(0, end, step)]
        return self.afms(torch.cat([part.transpose(1, 2) for part in parts], dim=1).transpose(1, 2))

    def _part(self, maps: Tensor, first: int, last: int) -> Tensor:
        """Pooled maps of the frames from `first` to before `last`."""
        start = max(0, first - self.halo)
        hidden = self.bn1(F.relu_(self.conv1(maps[:, :, start : last + self.halo])))
        groups = hidden.split(self.width, dim=1)
        for number, (conv, bn) in enumerate(zip(self.convs, self.bns)):
            if number:
                groups[number].add_(groups[number - 1])
            groups[number].copy_(bn(F.relu_(conv(groups[number]))))
        maps = maps[:, :, first:last]
        hidden = self.bn3(F.relu_(self.conv3(hidden[:, :, first - start : last - start])))
        hidden.add_(maps if self.residual is None else self.residual(maps))
        return max_pool(hidden, self.pool) if self.pool > 1 else hidden


class ContextAttention(nn.Sequential):
    """Weights per channel and frame from each frame, and the mean and deviation over all frames.

    The published model repeats mean and deviation in time and concatenates all three. They are the same at every frame,
    so here they pass their part of the first layer once.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(
            nn.Conv1d(3 * channels, hidden, 1),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
            nn.Conv1d(hidden, channels, 1),
            nn.Softmax(dim=-1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Weights of (batch, channels, frames), of the same shape, that sum to 1 over frames."""
        (first, *others), channels = self, maps.shape[1]
        variance, mean = torch.var_mean(widened(maps), dim=-1)  # unbiased
        context = torch.cat([mean, variance.clamp(*VARIANCE_RANGE).sqrt()], dim=1)
        of_frame, of_context = first.weight[:, :channels], first.weight[:, channels:, 0]
        hidden = F.conv1d(maps, of_frame) + F.linear(context, of_context, first.bias)[:, :, None]
        for layer in others:
            hidden = layer(hidden)
        return hidden


class RawNet3(Network):
    """Waveforms to embeddings through sinc filters, Res2 blocks and attentive statistics."""

    def __init__(self, config: RawNet3Config) -> None:
        super().__init__()
        self.config = config
        bands, width, pooled = config.channels // 4, config.channels, config.pooled_channels
        self.preprocess = WaveformNorm()
        self.conv1 = sinc_pairs(bands // 2, config.sinc_stride)
        self.layer1, self.layer2, self.layer3 = (
            Res2Block(before, width, scale=config.scale, dilation=dilation, pool=pool)
            for before, dilation, pool in zip((bands, width, width), DILATIONS, (*POOLS, 1), strict=True)
        )
        self.layer4 = TimeConv(3 * width, pooled, 1)
        self.attention = ContextAttention(pooled, config.attention_dim)
        self.bn5 = nn.BatchNorm1d(2 * pooled)
        self.fc6 = nn.Linear(2 * pooled, config.embedding_dim)

    def front_end(self, waveforms: Tensor) -> Tensor:
        """Log magnitudes of the filters' outputs without their mean, of (batch, samples); never in half precision."""
        with torch.autocast(waveforms.device.type, enabled=False):
            maps = self.conv1(self.preprocess(waveforms)).abs().add_(LOG_FLOOR).log()
            return maps.sub_(maps.mean(dim=-1, keepdim=True))

    def encode(self, maps: Tensor) -> Tensor:
        """The three layers and their fusion: (batch, pooled_channels, frames)."""
        first = self.layer1(maps)
        second = self.layer2(first)
        first = max_pool(first, SUMMED_POOL)
        third = self.layer3(first + second)
        return F.relu_(self.layer4(cat_channels([first, second, third])))

    def pool(self, maps: Tensor) -> Tensor:
        """Weighted means and deviations over frames, (batch, 2 * pooled_channels)."""
        maps, weights = widened(maps), widened(self.attention(maps))
        weighted = maps * weights
        mean = weighted.sum(dim=-1)
        variance = (weighted * maps).sum(dim=-1) - mean.square()
        return torch.cat([mean, variance.clamp(*VARIANCE_RANGE).sqrt()], dim=1)

    def embed(self, features: Tensor) -> Tensor:
        """Embed waveforms (batch, 1, samples): (batch, embedding_dim)."""
        waveforms = waveforms_of(features, self.config.min_samples)
        pooled = encode(lambda part: self.pool(self.encode(self.front_end(part))), self, waveforms)
        return self.fc6(self.bn5(pooled))
