"""ECAPA-TDNN (Desplanques et al. 2020, arXiv:2005.07143).

Axes: (batch, channels, frames). Every convolution is followed by ReLU, then batch norm.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import require
from sv.models.folding import Foldable, fold_parts
from sv.models.frame_layers import FrameNorm, TimeConv, cat_channels, folded_norm
from sv.models.network import Network
from sv.models.pooling import widened


@dataclass(frozen=True, kw_only=True)
class ECAPATDNNConfig:
    """Sizes and variants; the defaults are the paper's smaller network.

    Attributes
    ----------
    num_mel_bins : int
    channels : int
        Of the residual blocks: 512 or 1024 in the paper; a multiple of `res2net_scale`.
    dilations : tuple of int
        One per block.
    res2net_scale : int
        Groups of channels in a block, each of which but the last sees the one before.
    squeezed_channels, attention_channels : int
        Bottlenecks of squeeze-excitation and of attentive pooling.
    aggregated_channels : int
        Of the layer that reads all blocks.
    global_context : bool
        Attention sees the utterance's mean and deviation beside the frame, as in the paper; not in WeSpeaker's smaller
        configurations.
    summed_inputs : bool
        A block reads the sum of the outputs of all before it, as in the paper; else that of the one before, as in
        SpeechBrain and WeSpeaker.
    embedding_norm : bool
        Batch norm after the embedding, as in the paper; not in WeSpeaker and SpeechBrain.
    padding : "zeros" or "reflect"
        Frames beyond the ends: zeros, or mirrored as in SpeechBrain.
    aggregated_norm, attention_norm : bool
        Batch norm after the ReLU of the layer that reads all blocks; ReLU and batch norm before attention's tanh: both as in
        SpeechBrain.
    population_deviation : bool
        Deviations divide by the number of frames, and are computed of centred values, as in SpeechBrain.
    variance_floor : float
        Of variances over frames: 1e-12 in SpeechBrain.
    clamped_context : bool
        The floor is the least variance that attention sees, as in TaoRuijie's code and its descendants; else it is added.
    embedding_dim : int
    """

    num_mel_bins: int = 80
    channels: int = 512
    dilations: tuple[int, ...] = (2, 3, 4)
    res2net_scale: int = 8
    squeezed_channels: int = 128
    attention_channels: int = 128
    aggregated_channels: int = 1536
    global_context: bool = True
    summed_inputs: bool = False
    embedding_norm: bool = True
    padding: Literal["zeros", "reflect"] = "zeros"
    aggregated_norm: bool = False
    attention_norm: bool = False
    population_deviation: bool = False
    variance_floor: float = 1e-7
    clamped_context: bool = field(default=False, metadata={"later": True})  # older runs do not tell it
    embedding_dim: int = 192

    def __post_init__(self) -> None:
        sizes = ("num_mel_bins", "channels", "squeezed_channels", "attention_channels", "aggregated_channels")
        require(self, positive=(*sizes, "embedding_dim", "variance_floor"))
        if not self.dilations or min(self.dilations) < 1:
            raise ValueError(f"dilations must be positive, one per block, got {self.dilations}")
        if self.res2net_scale < 2 or self.channels % self.res2net_scale:
            raise ValueError(
                f"channels must be a multiple of res2net_scale, which is at least 2; got {self.channels} "
                f"and {self.res2net_scale}"
            )


class Convolution(Foldable):
    """Convolution over frames that keeps their number, ReLU, batch norm."""

    def __init__(
        self, in_channels: int, out_channels: int, size: int = 1, dilation: int = 1, padding: str = "zeros"
    ) -> None:
        super().__init__()
        self.conv = TimeConv(
            in_channels, out_channels, size, dilation=dilation, padding=dilation * (size // 2), padding_mode=padding
        )
        self.bn = nn.BatchNorm1d(out_channels)

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames)."""
        return self.bn(F.relu_(self.conv(values)))

    def folded(self) -> nn.Module:
        """Return the form for inference; on a CPU it works frame by frame."""
        self.bn = folded_norm(self.bn)
        return super().folded()


class Res2Convolution(Foldable):
    """Convolutions of groups of channels, each of which also sees the result of the one before.

    The last group passes unchanged. (The paper's Res2Net passes the first: the same up to the order of channels.)
    """

    def __init__(self, channels: int, dilation: int, scale: int, padding: str = "zeros") -> None:
        super().__init__()
        width = channels // scale
        self.layers = nn.ModuleList(Convolution(width, width, 3, dilation, padding) for _ in range(scale - 1))

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, channels, frames) to the same shape."""
        *groups, last = values.chunk(len(self.layers) + 1, dim=1)
        outputs = [self.layers[0](groups[0])]
        for layer, group in zip(self.layers[1:], groups[1:], strict=True):
            outputs.append(layer(outputs[-1] + group))
        return torch.cat([*outputs, last], dim=1)

    def folded(self) -> nn.Module:
        """Return the form for inference, which works in the place of its input."""
        return fold_parts(FoldedRes2(self.layers))


class FoldedRes2(nn.Module):
    """Res2 convolution in evaluation: each group's result replaces the group, so nothing is concatenated."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, values: Tensor) -> Tensor:
        """Overwrite (batch, channels, frames) with the result, and return it."""
        groups = values.chunk(len(self.layers) + 1, dim=1)
        for number, layer in enumerate(self.layers):
            if number:
                groups[number].add_(groups[number - 1])
            groups[number].copy_(layer(groups[number]))
        return values


class Block(nn.Module):
    """SE-Res2Block: 1x1 convolution, Res2 convolution, 1x1 convolution, squeeze-excitation, around a shortcut."""

    def __init__(self, config: ECAPATDNNConfig, dilation: int) -> None:
        super().__init__()
        channels, squeezed = config.channels, config.squeezed_channels
        self.first = Convolution(channels, channels)
        self.res2 = Res2Convolution(channels, dilation, config.res2net_scale, config.padding)
        self.last = Convolution(channels, channels)
        self.se = nn.Sequential(nn.Linear(channels, squeezed), nn.ReLU(), nn.Linear(squeezed, channels), nn.Sigmoid())

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, channels, frames) to the same shape."""
        hidden = self.last(self.res2(self.first(values)))
        return torch.addcmul(values, hidden, self.se(hidden.mean(dim=2))[:, :, None])


class ContextAttention(Foldable):
    """Channel-dependent weights over frames (section 3.1 of the paper, tanh between its two layers)."""

    def __init__(
        self,
        channels: int,
        hidden: int,
        *,
        global_context: bool,
        norm: bool = False,
        population_deviation: bool = False,
        variance_floor: float = 1e-7,
        clamped: bool = False,
    ) -> None:
        super().__init__()
        self.context = Context(population_deviation, variance_floor, clamped) if global_context else None
        self.linear1 = TimeConv(channels * (3 if global_context else 1), hidden, 1)
        self.bn = FrameNorm(hidden) if norm else None
        self.linear2 = TimeConv(hidden, channels, 1)

    def forward(self, values: Tensor) -> Tensor:
        """Weights of (batch, channels, frames), which sum to 1 over frames."""
        hidden = self.linear1(values) if self.context is None else self._with_context(values)
        hidden = hidden if self.bn is None else self.bn(F.relu_(hidden))
        return torch.softmax(self.linear2(torch.tanh(hidden)), dim=2)

    def _with_context(self, values: Tensor) -> Tensor:
        """First layer of frames beside their context, which is the same at every frame: it passes its part of the layer once."""
        channels, weight = values.shape[1], self.linear1.weight
        context = F.linear(self.context(values), weight[:, channels:, 0], self.linear1.bias)
        return F.conv1d(values, weight[:, :channels]) + context[:, :, None]

    def folded(self) -> nn.Module:
        """Return the form for inference, in which the frames' part of the first layer works frame by frame."""
        return fold_parts(FoldedAttention(self)) if self.context is not None else super().folded()


class Context(nn.Module):
    """Mean and deviation over all frames, which attention sees beside a frame."""

    def __init__(self, population_deviation: bool, variance_floor: float, clamped: bool) -> None:
        super().__init__()
        self.correction, self.variance_floor, self.clamped = 0 if population_deviation else 1, variance_floor, clamped

    def forward(self, values: Tensor) -> Tensor:
        """Mean and deviation of (batch, channels, frames): (batch, 2 * channels)."""
        variance, mean = torch.var_mean(widened(values), dim=2, correction=self.correction)
        variance = variance.clamp_min(self.variance_floor) if self.clamped else variance + self.variance_floor
        return torch.cat([mean, variance.sqrt()], dim=1)


class FoldedAttention(nn.Module):
    """Context attention in evaluation."""

    def __init__(self, attention: ContextAttention) -> None:
        super().__init__()
        channels, first = attention.linear2.out_channels, attention.linear1
        self.of_frame = TimeConv(channels, first.out_channels, 1, bias=False, device="meta")  # draws no random weights
        self.of_frame.weight = nn.Parameter(first.weight[:, :channels].contiguous(), requires_grad=False)
        self.register_buffer("weight", first.weight[:, channels:, 0].contiguous())
        self.register_buffer("bias", first.bias)
        self.context, self.bn, self.linear2 = attention.context, attention.bn, attention.linear2

    def forward(self, values: Tensor) -> Tensor:
        """Weights of (batch, channels, frames), which sum to 1 over frames."""
        context = F.linear(self.context(values), self.weight, self.bias)[:, :, None]
        hidden = self.of_frame(values).add_(context)
        hidden = hidden if self.bn is None else self.bn(hidden.relu_())
        return torch.softmax(self.linear2(hidden.tanh_()), dim=2)


def centred(features: Tensor) -> Tensor:
    """Shift each mel bin of (batch, mels, frames) features to mean 0 over the frames."""
    return features - features.mean(dim=2, keepdim=True)


class ECAPATDNN(Network):
    """Time-delay network of SE-Res2Blocks, all of whose outputs are aggregated and pooled.

    Features are centred, each mel bin to mean 0 over the segment.
    """

    def __init__(self, config: ECAPATDNNConfig) -> None:
        super().__init__()
        self.config = config
        self.layer1 = Convolution(config.num_mel_bins, config.channels, 5, padding=config.padding)
        self.blocks = nn.ModuleList(Block(config, dilation) for dilation in config.dilations)
        self.aggregate = TimeConv(config.channels * len(config.dilations), config.aggregated_channels, 1)
        self.bn_aggregate = FrameNorm(config.aggregated_channels) if config.aggregated_norm else nn.Identity()
        self.attention = ContextAttention(
            config.aggregated_channels,
            config.attention_channels,
            global_context=config.global_context,
            norm=config.attention_norm,
            population_deviation=config.population_deviation,
            variance_floor=config.variance_floor,
            clamped=config.clamped_context,
        )
        self.bn_pool = nn.BatchNorm1d(2 * config.aggregated_channels)
        self.fc = nn.Linear(2 * config.aggregated_channels, config.embedding_dim)
        self.bn_embedding = nn.BatchNorm1d(config.embedding_dim) if config.embedding_norm else nn.Identity()

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        return self.embed_centred(centred(features))

    def embed_centred(self, features: Tensor, change: Callable[[int, Tensor], Tensor] | None = None) -> Tensor:
        """Embed centred features; `change`, if given, maps the number of a layer, from 0, and its output to another one."""
        change = change or (lambda number, maps: maps)
        hidden = change(0, self.layer1(features))
        outputs = []
        for number, block in enumerate(self.blocks, 1):
            outputs.append(change(number, block(hidden)))
            hidden = hidden + outputs[-1] if self.config.summed_inputs else outputs[-1]
        values = self.bn_aggregate(F.relu_(self.aggregate(cat_channels(outputs))))
        return self.bn_embedding(self.fc(self.bn_pool(self.pool(values, self.attention(values)))))

    def pool(self, values: Tensor, weights: Tensor) -> Tensor:
        """Mean and deviation of (batch, channels, frames) under weights over frames: (batch, 2 * channels)."""
        values, weights = widened(values), widened(weights)
        mean = (values * weights).sum(dim=2)
        if self.config.population_deviation:
            variance = ((values - mean[:, :, None]).square() * weights).sum(dim=2)
        else:
            variance = (values.square() * weights).sum(dim=2) - mean.square()
        return torch.cat([mean, variance.clamp_min(self.config.variance_floor).sqrt()], dim=1)
