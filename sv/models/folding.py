"""Batch normalisations made cheap for inference."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sv.models.blocks import SEBasicBlock
from sv.models.frame_layers import ChannelAffine, affine_of
from sv.models.raw_folding import RAW_MODELS, fold_raw
from sv.models.resnet import Trunk
from sv.models.resnet_se34 import ResNetSE34, ResNetSE34V2
from sv.models.vggvox import VGGVox

SMALLEST_SCALE = 1e-20


class FoldedBlock(nn.Module):
    """What an SEBasicBlock computes in evaluation, with two passes over each convolution's maps, in their place.

    The first normalisation stands between a ReLU and a zero-padded convolution: scale * relu(x) + offset is scale times
    max(x + shift, shift) with shift = offset / scale. The shift is a bias of the first convolution, the scale is in the
    second one's weights, and zeros around the maps remain zeros.
    """

    def __init__(self, block: SEBasicBlock) -> None:
        super().__init__()
        scale, offset = affine_of(block.bn1)
        scale = torch.where(scale.abs() < SMALLEST_SCALE, SMALLEST_SCALE, scale)
        shift = offset / scale
        self.conv1 = _with_bias(block.conv1, shift)
        self.register_buffer("floor", shift[:, None, None])
        self.conv2, _ = _fold(block.conv2, block.bn2)
        self.conv2.weight *= scale[:, None, None]
        self.se, self.stride = block.se, block.stride
        self.downsample = None if block.downsample is None else nn.Sequential(*_fold(*block.downsample))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, mels, frames) to (batch, out_channels, mels / stride, frames / stride)."""
        hidden = self.conv1(maps)
        hidden = self.conv2(torch.clamp_min(hidden, self.floor, out=hidden))
        shortcut = maps
        if self.downsample is not None:
            shortcut = self.downsample(maps[:, :, :: self.stride, :: self.stride])
        return torch.addcmul(shortcut, hidden, self.se(hidden), out=hidden).relu_()


def for_inference(model: nn.Module) -> nn.Module:
    """Return a copy of a model that computes the same, convolutional ones faster, but cannot be trained or saved.

    Normalisations are folded into the convolutions around them, but for the one after the ReLU of ResNetSE34V2's stem,
    which stays as one affine map. Weights are laid out channels-last, and maps follow them.

    The RawNets' forms on a CPU are those of `sv.models.raw_folding`.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    if isinstance(model, RAW_MODELS):
        return fold_raw(model)
    if not isinstance(model, (Trunk, ResNetSE34, VGGVox)):
        return model
    with torch.no_grad():
        for stack in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
            for name, layer in stack.named_children():
                if isinstance(layer, SEBasicBlock):
                    setattr(stack, name, FoldedBlock(layer))
        _fold_first_layers(model)
    return model.to(memory_format=torch.channels_last)


def _fold_first_layers(model: nn.Module) -> None:
    if isinstance(model, VGGVox):
        layers = list(model.netcnn)
        for at, norm in enumerate(layers):
            if isinstance(norm, nn.BatchNorm2d):
                layers[at - 1], layers[at] = _fold(layers[at - 1], norm)
        model.netcnn = nn.Sequential(*layers)
    elif isinstance(model, ResNetSE34V2):
        model.bn1 = ChannelAffine(model.bn1)
    else:
        model.conv1, model.bn1 = _fold(model.conv1, model.bn1)
        if hasattr(model, "conv2"):  # the second stem of ExU-Net
            model.conv2, model.bn2 = _fold(model.conv2, model.bn2)


def _with_bias(conv: nn.Conv2d, bias: Tensor) -> nn.Conv2d:
    conv.bias = nn.Parameter(bias.clone(), requires_grad=False)
    return conv


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[nn.Conv2d, nn.Identity]:
    return fuse_conv_bn_eval(conv, norm), nn.Identity()
