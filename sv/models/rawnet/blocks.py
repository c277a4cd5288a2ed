"""Blocks that the RawNet family shares. Axes: maps are (batch, channels, frames)."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.folding import Foldable, fuse
from sv.models.frame_layers import FrameNorm, SameConv, is_traced, max_pool

SLOPE = 0.3  # of leaky ReLUs: Keras' default, kept by every port
POOL = 3  # frames that a max pooling makes one

Scaling = Literal["none", "mul", "add", "mul_add", "add_mul"]


def leaky_relu(maps: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.3, in place where no gradient is wanted."""
    return F.leaky_relu(maps, SLOPE, inplace=not maps.requires_grad)


class FeatureMapScaling(nn.Module):
    """Scale and shift each channel by one gate, computed from all channel means (Jung et al. 2020, RawNet2, eq. 1-4).

    Parameters
    ----------
    channels : int
    kind : "mul", "add", "mul_add" or "add_mul"
        With x the maps and s the gates: x s, x + s, x s + s (the published RawNet2) or (x + s) s.
    """

    def __init__(self, channels: int, kind: Scaling) -> None:
        super().__init__()
        self.kind = kind
        self.fc = nn.Linear(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, channels, frames) to the same shape."""
        gates = torch.sigmoid(self.fc(maps.mean(dim=-1)))[:, :, None]
        if self.kind == "mul":
            return maps * gates
        if self.kind == "add":
            return maps + gates
        if self.kind == "mul_add":
            return torch.addcmul(gates, maps, gates)
        return (maps + gates) * gates


class AlphaScaling(nn.Module):
    """Feature map scaling with a learned offset: (x + alpha) s, where the gates s come from x alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels, 1))
        self.fc = nn.Linear(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, channels, frames) to the same shape."""
        gates = torch.sigmoid(self.fc(maps.mean(dim=-1)))[:, :, None]
        return torch.addcmul(self.alpha * gates, maps, gates)


class RawBlock(Foldable):
    """Residual block of RawNet1's port and RawNet2: two convolutions, max pooling, feature map scaling.

    Parameters
    ----------
    in_channels, out_channels : int
        Where they differ, the shortcut is a 1x1 convolution of the block's raw input.
    preactivated : bool
        Normalise and rectify the input of the first convolution. False in the first block, and in all blocks of the
        published weights of RawNet1's port and RawNet2, whose code computes that and then discards it.
    scaling : Scaling
    """

    def __init__(self, in_channels: int, out_channels: int, *, preactivated: bool, scaling: Scaling) -> None:
        super().__init__()
        self.bn1 = FrameNorm(in_channels) if preactivated else None
        self.conv1 = SameConv(in_channels, out_channels, 3)
        self.bn2 = FrameNorm(out_channels)
        self.conv2 = SameConv(out_channels, out_channels, 3)
        changes = in_channels != out_channels
        self.conv_downsample = SameConv(in_channels, out_channels, 1) if changes else None
        self.fms = FeatureMapScaling(out_channels, scaling) if scaling != "none" else None

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames // 3)."""
        hidden = maps if self.bn1 is None else leaky_relu(self.bn1(maps))
        hidden = self.conv2(leaky_relu(self.bn2(self.conv1(hidden))))
        shortcut = maps if self.conv_downsample is None else self.conv_downsample(maps)
        pooled = max_pool(hidden.add_(shortcut), POOL)
        return pooled if self.fms is None else self.fms(pooled)

    def folded(self) -> nn.Module:
        """Return the block with its second normalisation folded into the first convolution."""
        self.conv1, self.bn2 = fuse(self.conv1, self.bn2)
        return super().folded()


def raw_blocks(in_channels: int, channels: Sequence[int], *, bypass: bool, scaling: Scaling) -> nn.Sequential:
    """A block for each of `channels`; the first is never pre-activated, with `bypass` none is."""
    inputs = (in_channels, *channels[:-1])
    return nn.Sequential(
        *(
            RawBlock(before, after, preactivated=number > 0 and not bypass, scaling=scaling)
            for number, (before, after) in enumerate(zip(inputs, channels, strict=True))
        )
    )


class RecurrentEmbedding(nn.Module):
    """A GRU over the frames, then a linear layer on its last state."""

    def __init__(self, channels: int, gru_dim: int, embedding_dim: int) -> None:
        super().__init__()
        self.bn_before_gru = nn.BatchNorm1d(channels)
        self.gru = nn.GRU(channels, gru_dim, batch_first=True)
        self.fc = nn.Linear(gru_dim, embedding_dim)

    def forward(self, maps: Tensor) -> Tensor:
        """Embed (batch, channels, frames): (batch, embedding_dim)."""
        frames = leaky_relu(self.bn_before_gru(maps)).transpose(1, 2)  # (batch, frames, channels)
        return self.fc(self.gru(frames)[1][-1])


def encode(encoder: Callable[[Tensor], Tensor], model: nn.Module, waveforms: Tensor) -> Tensor:
    """Encode waveforms (batch, samples): as one batch, or one at a time when extracting on a CPU.

    One at a time, maps stay in the cache, and equal waveforms at the end, which fill up a batch, are encoded once.
    """
    if waveforms.device.type != "cpu" or model.training or is_traced():
        return encoder(waveforms)
    count = len(waveforms)
    while count > 1 and torch.equal(waveforms[count - 2], waveforms[-1]):
        count -= 1
    maps = torch.cat([encoder(one) for one in waveforms[:count].split(1)])
    return torch.cat([maps, maps[-1:].expand(len(waveforms) - count, *maps.shape[1:])])


def waveforms_of(features: Tensor, min_samples: int, pre_emphasis: float = 0.0) -> Tensor:
    """Remove the channel axis: (batch, 1, samples) to (batch, samples).

    With pre-emphasis, y[n] = x[n + 1] - pre_emphasis x[n]: one sample less, and nothing assumed about the one before
    the first, so that a segment's is part of the whole utterance's.

    Raises
    ------
    ValueError
        If the features are not waveforms, or are shorter than what the model reduces to a single frame.
    """
    if features.ndim != 3 or features.shape[1] != 1:
        raise ValueError(f"a waveform model reads features (batch, 1, samples), got {tuple(features.shape)}")
    waveforms = features[:, 0]
    if pre_emphasis:
        waveforms = torch.sub(waveforms[:, 1:], waveforms[:, :-1], alpha=pre_emphasis)
    if waveforms.shape[1] < min_samples:
        needed = min_samples + (pre_emphasis != 0)
        raise ValueError(f"this model needs at least {needed} samples, got {features.shape[2]}; make segments longer")
    return waveforms
