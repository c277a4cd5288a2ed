"""Batch normalisations made cheap for inference."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sv.models.blocks import SEBasicBlock
from sv.models.frame_layers import ChannelAffine
from sv.models.raw_folding import RAW_MODELS, fold_raw
from sv.models.resnet import Trunk
from sv.models.resnet_se34 import ResNetSE34, ResNetSE34V2
from sv.models.vggvox import VGGVox


def for_inference(model: nn.Module) -> nn.Module:
    """Return a copy of a model that computes the same, convolutional ones faster, but cannot be trained or saved.

    Normalisations that follow a convolution are folded into it. One that follows a ReLU and precedes a zero-padded
    convolution would change the border there: it stays, as one affine map. Weights are laid out channels-last, and maps
    follow them.

    The RawNets' forms on a CPU are those of `sv.models.raw_folding`.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    if isinstance(model, RAW_MODELS):
        return fold_raw(model)
    if not isinstance(model, (Trunk, ResNetSE34, VGGVox)):
        return model
    with torch.no_grad():
        for block in (module for module in model.modules() if isinstance(module, SEBasicBlock)):
            block.bn1 = ChannelAffine(block.bn1)
            block.conv2, block.bn2 = _fold(block.conv2, block.bn2)
            if block.downsample is not None:
                block.downsample = nn.Sequential(*_fold(*block.downsample))
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


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[nn.Conv2d, nn.Identity]:
    return fuse_conv_bn_eval(conv, norm), nn.Identity()
