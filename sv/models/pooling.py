"""Attentive statistics pooling (Okabe et al. 2018, arXiv:1803.10963) with one weight per channel and position."""

import torch
from torch import Tensor, nn

BOTTLENECK_REDUCTION = 8
VARIANCE_FLOOR = 1e-5


def attention_layers(channels: int) -> nn.Sequential:
    """Layers that turn (batch, channels, positions) into weights of the same shape, which sum to 1 over positions.

    One set of weights per channel (as in ECAPA-TDNN) where Okabe et al. share one; ReLU, then batch norm, where they
    have tanh: as in the published ExU-Net code.
    """
    hidden = channels // BOTTLENECK_REDUCTION
    return nn.Sequential(
        nn.Conv1d(channels, hidden, 1),
        nn.ReLU(),
        nn.BatchNorm1d(hidden),
        nn.Conv1d(hidden, channels, 1),
        nn.Softmax(dim=-1),
    )


def weighted_statistics(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean and standard deviation over positions.

    Parameters
    ----------
    values, weights : (batch, channels, positions) torch.Tensor
        `weights` sum to 1 over positions.

    Returns
    -------
    (batch, 2 * channels) torch.Tensor
        Means, then standard deviations; the variance is floored at 1e-5, so that its root has a finite gradient.
    """
    weighted = values * weights
    mean = weighted.sum(dim=-1)
    variance = (weighted * values).sum(dim=-1) - mean.square()
    return torch.cat([mean, variance.clamp_min(VARIANCE_FLOOR).sqrt()], dim=1)
