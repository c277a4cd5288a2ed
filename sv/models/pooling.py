"""Attentive pooling: weights over positions, and the statistics under them."""

import torch
from torch import Tensor, nn

BOTTLENECK_REDUCTION = 8
VARIANCE_FLOOR = 1e-5


def widened(values: Tensor) -> Tensor:
    """Values in float32 if they are in half of it, else as they are: sums over an utterance need its digits."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def attention_layers(channels: int, hidden: int | None = None) -> nn.Sequential:
    """Layers that turn (batch, channels, positions) into weights of the same shape, which sum to 1 over positions.

    One set of weights per channel (as in ECAPA-TDNN) where Okabe et al. (2018, arXiv:1803.10963) share one; ReLU, then
    batch norm, where they have tanh: as in the published ExU-Net and voxceleb_trainer code.
    """
    hidden = hidden or channels // BOTTLENECK_REDUCTION
    return nn.Sequential(
        nn.Conv1d(channels, hidden, 1),
        nn.ReLU(),
        nn.BatchNorm1d(hidden),
        nn.Conv1d(hidden, channels, 1),
        nn.Softmax(dim=-1),
    )


def self_attention(values: Tensor, linear: nn.Linear, query: Tensor) -> Tensor:
    """Weights (batch, 1, positions) of (batch, channels, positions): softmax over positions of query . tanh(linear(value)).

    Self-attentive pooling (Cai et al. 2018, arXiv:1804.05160, eq. 4-5); `query` is (channels, 1) and learned.
    """
    hidden = torch.tanh(linear(values.transpose(1, 2)))
    return torch.softmax(hidden @ query, dim=1).transpose(1, 2)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over positions, (batch, channels); arguments as of `weighted_statistics`."""
    return (widened(values) * widened(weights)).sum(dim=-1)


def weighted_statistics(values: Tensor, weights: Tensor, variance_floor: float = VARIANCE_FLOOR) -> Tensor:
    """Weighted mean and standard deviation over positions.

    Parameters
    ----------
    values : (batch, channels, positions) torch.Tensor
    weights : (batch, channels or 1, positions) torch.Tensor
        Sum to 1 over positions.
    variance_floor : float
        Least variance, so that its root has a finite gradient.

    Returns
    -------
    (batch, 2 * channels) torch.Tensor
        Means, then standard deviations.
    """
    values, weights = widened(values), widened(weights)
    weighted = values * weights
    mean = weighted.sum(dim=-1)
    variance = (weighted * values).sum(dim=-1) - mean.square()
    return torch.cat([mean, variance.clamp_min(variance_floor).sqrt()], dim=1)


def mean_and_deviation(values: Tensor, variance_floor: float = 0.0) -> Tensor:
    """Mean and standard deviation over positions, all of one weight.

    Parameters
    ----------
    values : (batch, channels, positions) torch.Tensor
        Of two positions or more.
    variance_floor : float
        Added to the variance, the unbiased one, so that its root has a finite gradient.

    Returns
    -------
    (batch, 2 * channels) torch.Tensor
        Means, then deviations.
    """
    variance, mean = torch.var_mean(widened(values), dim=-1)
    return torch.cat([mean, (variance + variance_floor).sqrt()], dim=1)
