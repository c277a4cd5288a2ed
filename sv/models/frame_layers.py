"""Layers for a CPU whose maps, (batch, channels, frames), lie frame by frame in memory."""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input, conv2d_weight

from sv.models.folding import ChannelAffine, Foldable

GRADIENT_FRAMES = 1024  # for which oneDNN is fastest with weights' gradients


def is_traced() -> bool:  # as in sv.features.mel: the rooms do not see each other, sv.base does not see torch
    """True while exporting or tracing, when Python loops over the batch must be avoided."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def is_on_cpu(module: nn.Module) -> bool:
    """True if a module's first parameter is in main memory."""
    return next(module.parameters()).device.type == "cpu"


class FrameConv(nn.Module):
    """A convolution over time that cannot be trained any more.

    Frame by frame (channels-last) is the layout in which oneDNN is fastest. PyTorch 2.11 hands convolutions of one tap to
    BLAS instead, and MKL runs at half the rate on AMD: such a one is computed as one of two taps and stride 2, which reads
    a frame as two of half the channels.
    """

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        assert conv.groups == 1 and conv.padding_mode in ("zeros", "reflect")
        weight = conv.weight.detach()  # (out_channels, in_channels, taps)
        self.halves = weight.shape[2] == 1 and weight.shape[1] % 2 == 0 and conv.stride == (1,)
        if self.halves:
            weight = weight.reshape(len(weight), 2, -1).transpose(1, 2)
        self.stride = 2 if self.halves else conv.stride[0]
        self.reflected = conv.padding[0] if conv.padding_mode == "reflect" else 0
        self.padding, self.dilation = conv.padding[0] - self.reflected, conv.dilation[0]
        self.register_buffer("weight", weight[:, :, None].contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames)."""
        if self.reflected:
            maps = reflect_frames(maps, self.reflected)
        if self.halves:
            batch, channels, _ = maps.shape
            maps = maps.transpose(1, 2).reshape(batch, -1, channels // 2).transpose(1, 2)
        axes = [(1, self.stride), (0, self.padding), (1, self.dilation)]
        return F.conv2d(maps[:, :, None], self.weight, self.bias, *axes)[:, :, 0]


def reflect_frames(maps: Tensor, count: int) -> Tensor:
    """Continue (batch, channels, frames) by `count` frames to both sides, mirrored at the first and the last one."""
    frames = maps.transpose(1, 2)
    parts = [frames[:, 1 : count + 1].flip(1), frames, frames[:, -count - 1 : -1].flip(1)]
    return torch.cat(parts, dim=1).transpose(1, 2)


class TimeConv(nn.Conv1d, Foldable):
    """Convolution over time whose form for inference on a CPU works frame by frame."""

    def folded(self) -> nn.Module:
        """Return the form for inference; elsewhere than on a CPU it is the convolution itself."""
        return FrameConv(self) if is_on_cpu(self) else self


class SameConv(TimeConv):
    """Convolution of an odd number of taps and stride 1 that keeps the number of frames; on a CPU frame by frame."""

    def __init__(self, in_channels: int, out_channels: int, taps: int) -> None:
        super().__init__(in_channels, out_channels, taps, padding=taps // 2)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames)."""
        if maps.device.type != "cpu" or is_traced() or torch.is_autocast_enabled("cpu"):
            return super().forward(maps)  # the last: whose gradients PyTorch takes in its own number formats
        return FrameConvolution.apply(maps, self.weight, self.bias)


class FrameConvolution(torch.autograd.Function):
    """Convolution of `SameConv`, and its gradients: those of the weights some frames at a time."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        image, kernel = (each[:, :, None].contiguous(memory_format=torch.channels_last) for each in (maps, weight))
        ctx.save_for_backward(image, kernel)
        return F.conv2d(image, kernel, bias, padding=(0, weight.shape[2] // 2)).squeeze_(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """Gradients of maps, if they are wanted, weights and bias."""
        image, kernel = ctx.saved_tensors
        gradient = gradient[:, :, None].contiguous(memory_format=torch.channels_last)
        half, num_frames = kernel.shape[3] // 2, image.shape[3]
        of_image = conv2d_input(image.shape, kernel, gradient, padding=(0, half)) if ctx.needs_input_grad[0] else None
        of_kernel = torch.zeros_like(kernel)
        for row in range(len(image)):
            for first in range(0, num_frames, GRADIENT_FRAMES):
                last = min(first + GRADIENT_FRAMES, num_frames)
                part = image[row : row + 1, :, :, max(0, first - half) : last + half]
                part = F.pad(part, (max(0, half - first), max(0, last + half - num_frames)))
                of_kernel += conv2d_weight(part, kernel.shape, gradient[row : row + 1, :, :, first:last])
        return None if of_image is None else of_image[:, :, 0], of_kernel[:, :, 0], gradient.sum(dim=(0, 2, 3))


def folded_norm(norm: nn.BatchNorm1d) -> nn.Module:
    """Form of a batch norm of long maps for inference; elsewhere than on a CPU it is the norm itself."""
    return ChannelAffine(norm) if is_on_cpu(norm) else norm


class FrameNorm(nn.BatchNorm1d, Foldable):
    """Batch norm that is as fast frame by frame as channel by channel."""

    def folded(self) -> nn.Module:
        """Return the form for inference, see `folded_norm`."""
        return folded_norm(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, channels, frames) to the same shape."""
        return super().forward(maps[:, :, None]).squeeze(2)

    def _check_input_dim(self, maps: Tensor) -> None:
        if maps.ndim != 4:
            raise ValueError(f"expected (batch, channels, frames), got {tuple(maps[:, :, 0].shape)}")


def max_pool(maps: Tensor, size: int) -> Tensor:
    """Largest of every `size` frames of (batch, channels, frames); frames that are left over are dropped."""
    if maps.stride(1) != 1:
        return F.max_pool1d(maps, size)
    if torch.is_grad_enabled() and maps.requires_grad:
        return FrameMaxPool.apply(maps, size)
    return functools.reduce(torch.maximum, nth_frames(maps, size))


def nth_frames(maps: Tensor, size: int) -> list[Tensor]:
    """The first, second and so on of every `size` frames of (batch, channels, frames)."""
    end = maps.shape[2] // size * size
    return [maps[:, :, first:end:size] for first in range(size)]


class FrameMaxPool(torch.autograd.Function):
    """Max pooling frame by frame, for which PyTorch's would rearrange the maps; of equals the first is the largest."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, size: int) -> Tensor:
        parts = nth_frames(maps, size)
        pooled = functools.reduce(torch.maximum, parts)
        ctx.shape, is_left = maps.shape, torch.ones_like(pooled, dtype=torch.bool)
        ctx.is_largest = []
        for part in parts:
            ctx.is_largest.append(is_left & (part == pooled))
            is_left = is_left & ~ctx.is_largest[-1]
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Gradient of the maps."""
        batch, channels, num_frames = ctx.shape
        of_maps = gradient.new_zeros(batch, num_frames, channels).transpose(1, 2)
        for part, is_largest in zip(nth_frames(of_maps, len(ctx.is_largest)), ctx.is_largest):
            torch.mul(gradient, is_largest, out=part)
        return of_maps, None


def cat_channels(maps: list[Tensor]) -> Tensor:
    """Concatenate (batch, channels, frames) in channels, in the layout they have."""
    if maps[0].stride(1) != 1:
        return torch.cat(maps, dim=1)
    return torch.cat([each.transpose(1, 2) for each in maps], dim=2).transpose(1, 2)
