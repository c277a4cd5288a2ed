"""Layers for inference on a CPU whose maps, (batch, channels, frames), lie frame by frame in memory."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def is_traced() -> bool:
    """Whether a graph is being recorded, which is to hold for any number of waveforms of any length: no loops over them."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


class FrameConv(nn.Module):
    """A convolution over time that cannot be trained any more.

    Frame by frame (channels-last) is the layout in which oneDNN is fastest. PyTorch 2.11 hands convolutions of one tap to
    BLAS instead, and MKL runs at half the rate on AMD: such a one is computed as one of two taps and stride 2, which reads
    a frame as two of half the channels.
    """

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        assert conv.groups == 1 and conv.padding_mode == "zeros"
        weight = conv.weight.detach()  # (out_channels, in_channels, taps)
        self.halves = weight.shape[2] == 1 and weight.shape[1] % 2 == 0 and conv.stride == (1,)
        if self.halves:
            weight = weight.reshape(len(weight), 2, -1).transpose(1, 2)
        self.stride = 2 if self.halves else conv.stride[0]
        self.padding, self.dilation = conv.padding[0], conv.dilation[0]
        self.register_buffer("weight", weight[:, :, None].contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames)."""
        if self.halves:
            batch, channels, _ = maps.shape
            maps = maps.transpose(1, 2).reshape(batch, -1, channels // 2).transpose(1, 2)
        axes = [(1, self.stride), (0, self.padding), (1, self.dilation)]
        return F.conv2d(maps[:, :, None], self.weight, self.bias, *axes)[:, :, 0]


def affine_of(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and offset, (channels,) each, of the map that a batch norm is in evaluation."""
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale.detach(), (norm.bias - norm.running_mean * scale).detach()


class ChannelAffine(nn.Module):
    """The affine map that a batch norm is in evaluation, in one pass over the maps."""

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        axes = [1] * (2 if isinstance(norm, nn.BatchNorm2d) else 1)
        scale, offset = affine_of(norm)
        self.register_buffer("scale", scale.view(-1, *axes))
        self.register_buffer("offset", offset.view(-1, *axes))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, channels, frames), or (batch, channels, mels, frames), to the same shape."""
        return torch.addcmul(self.offset, maps, self.scale)


def max_pool(maps: Tensor, size: int) -> Tensor:
    """Largest of every `size` frames of (batch, channels, frames); frames that are left over are dropped."""
    if maps.stride(1) != 1:
        return F.max_pool1d(maps, size)
    end = maps.shape[2] // size * size  # PyTorch's pooling would rearrange maps that lie frame by frame
    return functools.reduce(torch.maximum, (maps[:, :, first:end:size] for first in range(size)))


def cat_channels(maps: list[Tensor]) -> Tensor:
    """Concatenate (batch, channels, frames) in channels, in the layout they have."""
    if maps[0].stride(1) != 1:
        return torch.cat(maps, dim=1)
    return torch.cat([each.transpose(1, 2) for each in maps], dim=2).transpose(1, 2)
