"""ReDimNet2 (PalabraAI/redimnet2, 2026), after ReDimNet (Yakovlev et al. 2024, arXiv:2407.18223).

Every stage reads a learned mixture of all earlier outputs as a map, (batch, channels, mels, frames), and returns a sequence,
(batch, channels * mels, frames), both of the same size: when mels or frames become fewer, channels or repetitions become more.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.base.config import require
from sv.models.ecapa_tdnn import ContextAttention
from sv.models.folding import Foldable, fuse_sequence
from sv.models.frame_layers import is_traced
from sv.models.network import Network
from sv.models.pooling import weighted_statistics
from sv.models.redimnet_blocks import ChannelNorm, ContextBlock, MapsBlock, TimeContext, maps_block

VARIANCE_FLOOR = 1e-7
ATTENTION_CHANNELS = 128


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """A stage.

    Attributes
    ----------
    mel_stride, frame_stride : int
        By which mels and frames become fewer than in the stage before.
    blocks : int
    expansion : float
        Of the channels within the blocks.
    kernels : tuple of (mels, frames)
        Of ConvNeXt-like blocks.
    reduction : int, optional
        Channels of the sequence over those of the time context; no time context without.
    """

    mel_stride: int = 1
    frame_stride: int = 1
    blocks: int = 1
    expansion: float = 1.0
    kernels: tuple[tuple[int, int], ...] = ((3, 3),)
    reduction: int | None = None

    def __post_init__(self) -> None:
        require(self, at_least_one=("mel_stride", "frame_stride", "blocks"), positive=("expansion",))
        if self.reduction is not None and self.reduction < 1:
            raise ValueError(f"reduction must be positive, got {self.reduction}")
        if not self.kernels or any(size < 1 or size % 2 == 0 for kernel in self.kernels for size in kernel):
            raise ValueError(f"kernels must be odd sizes in mels and frames, got {self.kernels}")


def published_stages(expansions: tuple[float, ...], reductions: tuple[int, ...]) -> tuple[StageConfig, ...]:
    """Make the six stages that WeSpeaker's ReDimNet2 B0, B1, B3, B4 and B5 have, which differ in channels alone."""
    strides, blocks = ((1, 1), (2, 1), (1, 2), (2, 1), (1, 2), (2, 1)), (2, 3, 4, 5, 4, 3)
    return tuple(
        StageConfig(mel_stride=mels, frame_stride=frames, blocks=count, expansion=expansion, reduction=reduction)
        for (mels, frames), count, expansion, reduction in zip(strides, blocks, expansions, reductions, strict=True)
    )


@dataclass(frozen=True, kw_only=True)
class ReDimNet2Config:
    """Sizes and variants; the defaults are WeSpeaker's ReDimNet2B0.

    Attributes
    ----------
    num_mel_bins : int
        A multiple of all stages' mel strides.
    channels : int
        Of the first maps.
    stages : tuple of StageConfig
    out_channels : int, optional
        Of the pooled sequence, or of the pooled map, see `pool_maps`; those of the last mixture without.
    pool_maps : bool
        Pool every (channel, mel) pair of a map of `out_channels`, which is then needed.
    maps_block : "residual", "residual_gated", "convnext" or "convnext_relu"
    context_block : "convolutions" or "position"
    group : int
        Channels that an output of the blocks' 3x3 convolutions sees.
    grouped_strides : bool
        The convolutions that open the stages see as few channels as they can.
    both_outputs : bool
        A stage with a time context returns its sequence before and after it.
    group_norm : bool
        Norm of each channel's sequence after every stage.
    global_context : bool
        Attention sees the utterance's mean and deviation beside the frame.
    embedding_norm : bool
        Batch norm after the embedding.
    embedding_dim : int
    """

    num_mel_bins: int = 72
    channels: int = 12
    stages: tuple[StageConfig, ...] = published_stages((2, 1, 1, 1, 1, 1), (36, 36, 36, 36, 18, 18))
    out_channels: int | None = 64
    pool_maps: bool = False
    maps_block: MapsBlock = "residual"
    context_block: ContextBlock = "convolutions"
    group: int = 1
    grouped_strides: bool = True
    both_outputs: bool = False
    group_norm: bool = False
    global_context: bool = True
    embedding_norm: bool = False
    embedding_dim: int = 192

    def __post_init__(self) -> None:
        require(self, at_least_one=("num_mel_bins", "channels", "group", "embedding_dim"))
        if not self.stages:
            raise ValueError("stages must not be empty")
        if self.num_mel_bins % (stride := math.prod(stage.mel_stride for stage in self.stages)):
            raise ValueError(
                f"num_mel_bins must be a multiple of {stride}, the stages' mel strides, got {self.num_mel_bins}"
            )
        if self.out_channels is not None and self.out_channels < 1:
            raise ValueError(f"out_channels must be positive, got {self.out_channels}")
        if self.pool_maps and self.out_channels is None:
            raise ValueError("pool_maps needs out_channels")

    @property
    def frame_stride(self) -> int:
        """Frames of the input to one of the coarsest stage."""
        return math.prod(stage.frame_stride for stage in self.stages)


class Mixture(nn.Module):
    """Weighted mean of sequences, with learned weights for each channel."""

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, count, channels, 1), requires_grad=count > 1)

    def forward(self, sequences: list[Tensor]) -> Tensor:
        """Mix as many (batch, channels, frames) as there are weights: (batch, channels, frames)."""
        if len(sequences) == 1:
            return sequences[0]
        weights = torch.softmax(self.weight, dim=1).unbind(1)
        mixed = weights[0] * sequences[0]
        for weight, sequence in zip(weights[1:], sequences[1:], strict=True):
            mixed = torch.addcmul(mixed, weight, sequence)
        return mixed


class ToMaps(nn.Module):
    """Sequence to map."""

    def __init__(self, num_mels: int) -> None:
        super().__init__()
        self.num_mels = num_mels

    def forward(self, sequence: Tensor) -> Tensor:
        """Map (batch, mels * channels, frames), mels slowest, to (batch, channels, mels, frames)."""
        return sequence.unflatten(1, (self.num_mels, -1)).transpose(1, 2)


class ToSequence(nn.Module):
    """Map to sequence."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, channels, mels, frames) to (batch, mels * channels, frames), mels slowest."""
        return maps.transpose(1, 2).flatten(1, 2)


class Stage(Foldable):
    """Mixture, strided convolution, blocks over maps, perhaps a time context, repetition of frames, perhaps a norm.

    Parameters
    ----------
    config : ReDimNet2Config
    stage : StageConfig
    channels, num_mels : int
        Of the map that it reads.
    repetition : int
        Frames of the input to one of its own.
    num_read : int
        Sequences to mix.
    """

    def __init__(
        self,
        config: ReDimNet2Config,
        stage: StageConfig,
        *,
        channels: int,
        num_mels: int,
        repetition: int,
        num_read: int,
    ) -> None:
        super().__init__()
        size, self.repetition = config.num_mel_bins * config.channels, repetition
        stride, narrow = (stage.mel_stride, repetition), stage.mel_stride * channels
        wide = int(narrow * stage.expansion)
        groups = math.gcd(channels, wide) if config.grouped_strides else 1
        layers = [Mixture(num_read, size), ToMaps(num_mels), nn.Conv2d(channels, wide, stride, stride, groups=groups)]
        layers += [
            maps_block(config.maps_block, wide, num_mels // stage.mel_stride, config.group, stage.kernels)
            for _ in range(stage.blocks)
        ]
        if stage.expansion != 1:
            layers.append(nn.Sequential(nn.Conv2d(wide, narrow, 1), nn.BatchNorm2d(narrow, eps=1e-6)))
        self.maps = nn.Sequential(*layers, ToSequence())
        self.context = (
            TimeContext(size, size // stage.reduction, config.context_block) if stage.reduction is not None else None
        )
        self.both = config.both_outputs and self.context is not None
        self.norms = nn.ModuleList(
            nn.GroupNorm(config.channels, size) if config.group_norm else nn.Identity() for _ in range(1 + self.both)
        )

    @property
    def num_outputs(self) -> int:
        """Sequences that it adds."""
        return len(self.norms)

    def forward(self, sequences: list[Tensor]) -> list[Tensor]:
        """Return one or two sequences (batch, channels * mels, frames) of as many as came before."""
        before = self.maps(sequences)
        after = before if self.context is None else self.context(before)
        outputs = [before, after] if self.both else [after]
        return [norm(each.repeat_interleave(self.repetition, dim=2)) for norm, each in zip(self.norms, outputs)]

    def folded(self) -> nn.Module:
        """Return the stage without the norms that a convolution can take."""
        self.maps = nn.Sequential(
            *(fuse_sequence(layer) if isinstance(layer, nn.Sequential) else layer for layer in self.maps)
        )
        return super().folded()


class ReDimNet2(Network):
    """Stem, stages, last mixture, attentive statistics over frames, embedding layer.

    Frames that are no multiple of the stages' strides are dropped at the end.
    """

    def __init__(self, config: ReDimNet2Config) -> None:
        super().__init__()
        self.config = config
        size, channels, num_mels = config.num_mel_bins * config.channels, config.channels, config.num_mel_bins
        self.stem = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), ChannelNorm(channels), ToSequence())
        self.stem_norm = nn.GroupNorm(channels, size) if config.group_norm else nn.Identity()
        self.stages, num_read, repetition = nn.ModuleList(), 1, 1
        for stage in config.stages:
            repetition *= stage.frame_stride
            made = Stage(config, stage, channels=channels, num_mels=num_mels, repetition=repetition, num_read=num_read)
            self.stages.append(made)
            channels, num_mels = channels * stage.mel_stride, num_mels // stage.mel_stride
            num_read += made.num_outputs
        self.mixture = Mixture(num_read, size)
        self.head, pooled = nn.Identity(), size
        if config.pool_maps:
            self.head = nn.Sequential(ToMaps(num_mels), nn.Conv2d(channels, config.out_channels, 1), nn.Flatten(1, 2))
            pooled = config.out_channels * num_mels
        elif config.out_channels is not None:
            self.head, pooled = nn.Conv1d(size, config.out_channels, 1), config.out_channels
        self.attention = ContextAttention(pooled, ATTENTION_CHANNELS, global_context=config.global_context)
        self.bn_pool = nn.BatchNorm1d(2 * pooled)
        self.fc = nn.Linear(2 * pooled, config.embedding_dim)
        self.bn_embedding = nn.BatchNorm1d(config.embedding_dim) if config.embedding_norm else nn.Identity()

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim).

        Raises
        ------
        ValueError
            If there are fewer frames than the stages' strides take.
        """
        stride = self.config.frame_stride
        num_frames = features.shape[2] // stride * stride
        if not is_traced() and num_frames == 0:
            raise ValueError(f"ReDimNet2 needs at least {stride} frames, got {features.shape[2]}")
        sequences = [self.stem_norm(self.stem(features[:, None].unfold(3, stride, stride).flatten(3)))]
        for stage in self.stages:
            sequences += stage(sequences)
        values = self.head(self.mixture(sequences))
        pooled = weighted_statistics(values, self.attention(values), VARIANCE_FLOOR)
        return self.bn_embedding(self.fc(self.bn_pool(pooled)))
