"""Residual blocks with squeeze-excitation, and the initialisation of the ExU-Net family.

Axes: maps are (batch, channels, mels, frames).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.folding import Foldable, affine_of, fuse
from sv.models.frame_layers import is_traced

SQUEEZE_REDUCTION = 8
SMALLEST_SCALE = 1e-20
FRAME_STRIDE = 4  # of U-shaped networks: frames of the input to one of the coarsest level


def strided(shortcut: nn.Sequential, maps: Tensor, stride: Sequence[int]) -> Tensor:
    """Pass (batch, channels, mels, frames) through a 1x1 convolution of some stride, and the layers after it."""
    if is_traced():
        convolution, *others = shortcut
        maps = F.conv2d(maps, convolution.weight, convolution.bias, tuple(stride))
        return nn.Sequential(*others)(maps)
    # Not in the convolution: the same numbers, but PyTorch 2.11 corrupts memory in its backward pass on CPUs when it is
    # channels-last and has fewer than 16 channels.
    return shortcut(maps[:, :, :: stride[0], :: stride[1]])


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from all channel means (Hu et al. 2018, arXiv:1709.01507, section 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // SQUEEZE_REDUCTION)  # a quarter-width first level has only 4 channels
        self.fc = nn.Sequential(nn.Linear(channels, squeezed), nn.ReLU(), nn.Linear(squeezed, channels), nn.Sigmoid())

    def forward(self, maps: Tensor) -> Tensor:
        """Return the gates of `maps`, (batch, channels, 1, 1)."""
        means = maps.permute(0, 2, 3, 1).mean(dim=(1, 2))  # of channels-last maps, the gradient is channels-last too
        return self.fc(means)[:, :, None, None]


class SEBasicBlock(Foldable):
    """Two 3x3 convolutions and a gate around a shortcut.

    The first normalisation comes *after* its ReLU, as in the published ExU-Net code (a departure from He et al. 2016).

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the first convolution, in both axes. The shortcut is a strided 1x1 convolution where the shape changes, else
        the identity.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.se = SqueezeExcite(out_channels)
        self.stride = stride
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, mels, frames) to (batch, out_channels, mels / stride, frames / stride)."""
        hidden = self.bn1(F.relu(self.conv1(maps), inplace=True))
        hidden = self.bn2(self.conv2(hidden))
        shortcut = maps
        if self.downsample is not None:
            shortcut = strided(self.downsample, maps, (self.stride, self.stride))
        return F.relu(torch.addcmul(shortcut, hidden, self.se(hidden)), inplace=True)

    def folded(self) -> nn.Module:
        """Return the block without normalisations."""
        return FoldedBlock(self)


class FoldedBlock(nn.Module):
    """An SEBasicBlock in evaluation: two passes over each convolution's maps, in their place.

    The first normalisation lies between a ReLU and a zero-padded convolution: scale * relu(x) + offset is scale times
    max(x + shift, shift) with shift = offset / scale. The shift is a bias of the first convolution, the scale is in the
    second one's weights, and zeros around the maps remain zeros.
    """

    def __init__(self, block: SEBasicBlock) -> None:
        super().__init__()
        scale, offset = affine_of(block.bn1)
        scale = torch.where(scale.abs() < SMALLEST_SCALE, SMALLEST_SCALE, scale)
        shift = offset / scale
        self.conv1 = block.conv1
        self.conv1.bias = nn.Parameter(shift.clone(), requires_grad=False)
        self.register_buffer("floor", shift[:, None, None])
        self.conv2, _ = fuse(block.conv2, block.bn2)
        self.conv2.weight *= scale[:, None, None]
        self.se, self.stride = block.se, block.stride
        self.downsample = None if block.downsample is None else nn.Sequential(*fuse(*block.downsample))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, mels, frames) to (batch, out_channels, mels / stride, frames / stride)."""
        hidden = self.conv1(maps)
        hidden = self.conv2(torch.clamp_min(hidden, self.floor, out=hidden))
        shortcut = maps
        if self.downsample is not None:
            shortcut = strided(self.downsample, maps, (self.stride, self.stride))
        return torch.addcmul(shortcut, hidden, self.se(hidden), out=hidden).relu_()


def residual_stack(in_channels: int, out_channels: int, num_blocks: int, stride: int = 1) -> nn.Sequential:
    """`num_blocks` blocks in a row; the first one changes the channels and the resolution."""
    first = SEBasicBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(SEBasicBlock(out_channels, out_channels) for _ in range(num_blocks - 1)))


def residual_levels(
    in_channels: Sequence[int], out_channels: Sequence[int], num_blocks: Sequence[int], strides: Sequence[int]
) -> list[nn.Sequential]:
    """One residual stack per level, from the finest resolution to the coarsest."""
    return [residual_stack(*level) for level in zip(in_channels, out_channels, num_blocks, strides, strict=True)]


def pad_frames(maps: Tensor) -> Tensor:
    """Repeat the last frame until the count is a multiple of `FRAME_STRIDE`; a U-net's skips would not fit otherwise."""
    missing = -maps.shape[-1] % FRAME_STRIDE
    return F.pad(maps, (0, missing, 0, 0), mode="replicate")


def initialise(module: nn.Module) -> None:
    """Initialise one layer as the published ExU-Net code does; for `nn.Module.apply`.

    Convolutions: Kaiming normal, fan-in, gain of a leaky ReLU of slope 0.01, biases as PyTorch has them. Linear layers:
    Xavier uniform with biases of 1e-4. Normalisations: PyTorch's.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.constant_(module.bias, 1e-4)
    elif isinstance(module, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(module.weight, a=0.01)
