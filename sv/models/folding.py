"""Networks made cheap for inference: the general part. A module that has a cheaper form returns it from `folded`."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


class Foldable(nn.Module):
    """Module that knows its form for inference."""

    def folded(self) -> nn.Module:
        """Return the form for inference: by default the module itself, its parts replaced by theirs.

        It may take and change the module's parts, so call it on a copy in evaluation, as `for_inference` does.
        """
        return fold_parts(self)


def fold_parts(module: nn.Module) -> nn.Module:
    """Replace the parts of a module, at any depth, by their forms for inference; return the module."""
    for name, part in list(module.named_children()):
        setattr(module, name, part.folded() if isinstance(part, Foldable) else fold_parts(part))
    return module


@torch.no_grad()
def for_inference(model: Foldable) -> nn.Module:
    """Return a copy of a model that computes the same, faster where the model can, but cannot be trained or saved."""
    return copy.deepcopy(model).eval().requires_grad_(False).folded()


def fuse(conv: nn.Module, norm: BatchNorm) -> tuple[nn.Module, nn.Identity]:
    """Fold a batch norm into the convolution before it; the identity takes the norm's place."""
    return fuse_conv_bn_eval(conv, norm), nn.Identity()


def fuse_sequence(layers: nn.Sequential) -> nn.Sequential:
    """Fold every batch norm of a sequence into the convolution before it."""
    fused = list(layers)
    for at, layer in enumerate(layers):
        if isinstance(layer, BatchNorm):
            fused[at - 1], fused[at] = fuse(fused[at - 1], layer)
    return nn.Sequential(*fused)


def affine_of(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Scale and offset, (channels,) each, of the map that a batch norm is in evaluation."""
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale.detach(), (norm.bias - norm.running_mean * scale).detach()


class ChannelAffine(nn.Module):
    """Affine map that a batch norm is in evaluation, in one pass over the maps."""

    def __init__(self, norm: BatchNorm) -> None:
        super().__init__()
        axes = [1] * (2 if isinstance(norm, nn.BatchNorm2d) else 1)
        scale, offset = affine_of(norm)
        self.register_buffer("scale", scale.view(-1, *axes))
        self.register_buffer("offset", offset.view(-1, *axes))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, channels, frames), or (batch, channels, mels, frames), to the same shape."""
        return torch.addcmul(self.offset, maps, self.scale)
