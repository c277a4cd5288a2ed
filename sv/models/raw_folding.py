"""The RawNets made cheap for inference."""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sv.models.frame_layers import ChannelAffine, FrameConv, SameConv
from sv.models.rawnet.blocks import RawBlock
from sv.models.rawnet.rawnet1 import PostActivationBlock, RawNet1, RawNet1Cnn, RawNet1PyTorch, RawNet1Trunk
from sv.models.rawnet.rawnet2 import RawNet2
from sv.models.rawnet.rawnet2_modified import AlphaBlock, RawNet2Modified
from sv.models.rawnet.rawnet3 import ContextAttention, FrameRes2Block, RawNet3, Res2Block
from sv.models.rawnet.sincnet import FrozenSincFilters, FrozenSincPairs, SincFilters, SincPairs

RAW_MODELS = (RawNet1, RawNet1Cnn, RawNet1PyTorch, RawNet2, RawNet2Modified, RawNet3)
FOLDED = {  # normalisations that directly follow a convolution, in each kind of module
    RawBlock: {"conv1": "bn2"},
    PostActivationBlock: {"conv1": "bn1", "conv2": "bn2"},
    RawNet1Trunk: {"strided_conv": "bn"},
    RawNet1Cnn: {"last_conv": "last_bn"},
    RawNet1PyTorch: {"first_conv": "first_bn"},
    AlphaBlock: {"conv1": "bn2"},
}
REMAINING = {RawBlock: ("bn1",), AlphaBlock: ("bn1",), RawNet2: ("first_bn",)}  # those of long maps that follow others


@torch.no_grad()
def fold_raw(model: nn.Module) -> nn.Module:
    """Fold, in place, what can be folded into convolutions; on a CPU lay the maps out frame by frame."""
    for module in list(model.modules()):
        for conv, norm in FOLDED.get(type(module), {}).items():
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, nn.Identity())
        if isinstance(module, PostActivationBlock) and module.downsample is not None:
            module.downsample = fuse_conv_bn_eval(*module.downsample)
    if next(model.parameters()).device.type == "cpu":
        _lay_out(model)
    return model


def _lay_out(model: nn.Module) -> None:
    for module in list(model.modules()):
        for norm in REMAINING.get(type(module), ()):
            if isinstance(getattr(module, norm), nn.BatchNorm1d):
                setattr(module, norm, ChannelAffine(getattr(module, norm)))
        if isinstance(module, ContextAttention):
            continue  # of few frames, and it takes its first convolution apart
        for name, child in module.named_children():
            if replacement := REPLACEMENTS.get(type(child)):
                setattr(module, name, replacement(child))


REPLACEMENTS = {
    Res2Block: FrameRes2Block,
    SincFilters: FrozenSincFilters,
    SincPairs: FrozenSincPairs,
    nn.Conv1d: FrameConv,
    SameConv: FrameConv,
}
