"""Blocks of ReDimNet2: over maps (batch, channels, mels, frames), and over (batch, channels, frames).

Those over frames are a stack of ConvNeXt-like convolutions (Liu et al. 2022, arXiv:2201.03545) and a transformer layer.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.folding import Foldable, fuse

MapsBlock = Literal["residual", "residual_gated", "convnext", "convnext_relu"]
ContextBlock = Literal["convolutions", "position"]
NUM_HEADS = 4
CONTEXT_TAPS, POSITION_TAPS = (7, 19, 31, 59), 59


class ChannelNorm(nn.Module):
    """Layer norm over the channels of (batch, channels, ...), each position by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, channels, ...) to the same shape."""
        return F.layer_norm(values.movedim(1, -1), self.weight.shape, self.weight, self.bias, 1e-6).movedim(-1, 1)


class ConvNext(Foldable):
    """Convolutions of a few channels each, side by side; norm, activation, 1x1 convolution, around a shortcut.

    Parameters
    ----------
    channels : int
    kernels : sequence of ints, or of (mels, frames)
        Of the convolutions, odd, over frames or over maps.
    group : int
        Channels that a convolution's output sees.
    relu : bool
        Activation is ReLU, else GELU.
    """

    def __init__(
        self, channels: int, kernels: Sequence[int] | Sequence[tuple[int, int]], group: int = 1, *, relu: bool = False
    ) -> None:
        super().__init__()
        is_map = not isinstance(kernels[0], int)
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if is_map else (nn.Conv1d, nn.BatchNorm1d)
        self.convs = nn.ModuleList(
            conv(channels, channels, kernel, padding="same", groups=channels // group) for kernel in kernels
        )
        self.norm = norm(channels * len(kernels))
        self.activation = nn.ReLU() if relu else nn.GELU()
        self.point = conv(channels * len(kernels), channels, 1)

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, channels, ...) to the same shape."""
        hidden = (
            torch.cat([conv(values) for conv in self.convs], dim=1) if len(self.convs) > 1 else self.convs[0](values)
        )
        return values + self.point(self.activation(self.norm(hidden)))

    def folded(self) -> nn.Module:
        """Return the block without its norm, if there is one convolution before it."""
        if len(self.convs) == 1:
            self.convs[0], self.norm = fuse(self.convs[0], self.norm)
        return super().folded()


class SeparableBlock(Foldable):
    """Two 3x3 convolutions of a few channels, each with a 1x1 convolution, around a shortcut.

    Parameters
    ----------
    channels, num_mels : int
    group : int
        Channels that a 3x3 convolution's output sees.
    gated : bool
        Scale each mel by a gate computed of all mels' means.
    """

    def __init__(self, channels: int, num_mels: int, group: int, *, gated: bool) -> None:
        super().__init__()
        sizes = {"padding": 1, "bias": False, "groups": channels // group}
        self.conv1, self.point1 = nn.Conv2d(channels, channels, 3, **sizes), nn.Conv2d(channels, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2, self.point2 = nn.Conv2d(channels, channels, 3, **sizes), nn.Conv2d(channels, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        squeezed = min(64, max(channels, 32))
        self.gate = (
            nn.Sequential(nn.Linear(num_mels, squeezed), nn.ReLU(), nn.Linear(squeezed, num_mels), nn.Sigmoid())
            if gated
            else None
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, channels, mels, frames) to the same shape."""
        hidden = self.bn1(F.relu_(self.point1(self.conv1(maps))))
        hidden = self.bn2(self.point2(self.conv2(hidden)))
        if self.gate is not None:
            hidden = hidden * self.gate(hidden.mean(dim=(1, 3)))[:, None, :, None]
        return F.relu_(hidden + maps)

    def folded(self) -> nn.Module:
        """Return the block without its second norm."""
        self.point2, self.bn2 = fuse(self.point2, self.bn2)
        return super().folded()


def maps_block(
    kind: MapsBlock, channels: int, num_mels: int, group: int, kernels: Sequence[tuple[int, int]]
) -> nn.Module:
    """Make a block over (batch, channels, mels, frames); only the ConvNeXt-like ones have kernels to choose."""
    if kind.startswith("residual"):
        return SeparableBlock(channels, num_mels, group, gated=kind == "residual_gated")
    return ConvNext(channels, kernels, group, relu=kind == "convnext_relu")


class SelfAttention(nn.Module):
    """Attention of every frame to all frames, by `NUM_HEADS` heads."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels % NUM_HEADS:
            raise ValueError(f"attention needs a multiple of {NUM_HEADS} channels, got {channels}")
        self.query, self.key, self.value, self.output = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, frames, channels) to the same shape."""
        heads = [
            part(values).unflatten(2, (NUM_HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        ]
        return self.output(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """Self-attention and two linear layers, each with a shortcut and a norm after it (Vaswani et al. 2017)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.attention = SelfAttention(channels)
        self.norm1, self.norm2 = nn.LayerNorm(channels, eps=1e-6), nn.LayerNorm(channels, eps=1e-6)
        self.linear1, self.linear2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, channels, frames) to the same shape."""
        values = values.transpose(1, 2)
        values = self.norm1(values + self.attention(values))
        hidden = F.gelu(self.linear1(values), approximate="tanh")
        return self.norm2(values + self.linear2(hidden)).transpose(1, 2)


class PositionConvolution(nn.Module):
    """Long convolution of each channel, its norm and a shortcut: what tells attention the order of frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, POSITION_TAPS, padding=POSITION_TAPS // 2, groups=channels)
        self.norm = ChannelNorm(channels)

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, channels, frames) to the same shape."""
        return values + self.norm(self.conv(values))


class TimeContext(Foldable):
    """Frames see each other: 1x1 convolution to fewer channels, context, 1x1 convolution back, around a shortcut.

    Parameters
    ----------
    channels, hidden : int
    kind : "convolutions" or "position"
        Before the transformer layer: four ConvNeXt-like blocks of growing length, or one convolution.
    """

    def __init__(self, channels: int, hidden: int, kind: ContextBlock) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv1d(channels, hidden, 1), ChannelNorm(hidden))
        if kind == "convolutions":
            before = [ConvNext(hidden, (taps,)) for taps in CONTEXT_TAPS]
        else:
            before = [PositionConvolution(hidden)]
        wide = hidden if kind == "convolutions" else 2 * hidden
        self.context = nn.Sequential(*before, TransformerLayer(hidden, wide))
        self.expand = nn.Conv1d(hidden, channels, 1)

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, channels, frames) to the same shape."""
        return values + self.expand(self.context(self.reduce(values)))
