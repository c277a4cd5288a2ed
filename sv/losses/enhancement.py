"""Losses that bring an utterance's embedding to a target: regression, triplets of targets, session matching."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.base.config import require
from sv.losses.base import TargetLoss

Distance = Literal["cosine", "rms"]

ZERO_DISTANCE = 1e-12  # under the root: equal outputs would have an infinite gradient


def cosine_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """1 - the mean cosine of outputs and targets, both (batch, dim), row by row."""
    return 1 - F.cosine_similarity(outputs, targets, dim=1).mean()


class MSELoss(TargetLoss):
    """Mean squared error."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared difference of (batch, dim) outputs and targets."""
        return F.mse_loss(outputs, targets)


class MAELoss(TargetLoss):
    """Mean absolute error."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean absolute difference of (batch, dim) outputs and targets."""
        return F.l1_loss(outputs, targets)


class CosineLoss(TargetLoss):
    """Cosine distance to the target."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """1 - the mean cosine of (batch, dim) outputs and targets."""
        return cosine_loss(outputs, targets)


@dataclass(frozen=True, kw_only=True)
class LogDistanceConfig:
    """Options of the logarithmic distance.

    Attributes
    ----------
    distance_floor : float
        Added to the squared distance. A row's gradient is the longest, 1 / sqrt(distance_floor), at a distance of
        sqrt(distance_floor), and gets shorter below.
    """

    distance_floor: float = 1e-3

    def __post_init__(self) -> None:
        require(self, positive=("distance_floor",))


class LogDistanceLoss(TargetLoss):
    """Logarithm of the distance to the target, the loss of vMF-PL (2026): far rows pull less than with the squared distance.

    Parameters
    ----------
    config : LogDistanceConfig
    """

    def __init__(self, config: LogDistanceConfig = LogDistanceConfig()) -> None:
        super().__init__(config)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over rows of ln(|output - target|^2 + floor), of (batch, dim) outputs and targets; it may be negative."""
        return ((outputs - targets).square().sum(dim=1) + self.config.distance_floor).log().mean()


def centroid_triplet(outputs: Tensor, own: Tensor, other: Tensor, margin: float | None = None) -> Tensor:
    """Triplet loss on targets: closer to the own speaker's target than to another's.

    Parameters
    ----------
    outputs, own, other : (batch, dim) torch.Tensor
    margin : float, optional
        None: 1 - cos(own) + cos(other), averaged, from -1 to 3, as published. Else the hinge of each row,
        max(0, margin - cos(own) + cos(other)).
    """
    difference = F.cosine_similarity(outputs, other, dim=1) - F.cosine_similarity(outputs, own, dim=1)
    return 1 + difference.mean() if margin is None else F.relu(margin + difference).mean()


def pair_distances(pairs: Tensor, distance: Distance) -> Tensor:
    """Distances within pairs of outputs, (pairs, 2, dim) to (pairs,).

    "cosine" is 1 - cos; "rms" the root of the mean squared difference over the dimensions.
    """
    first, second = pairs.unbind(1)
    if distance == "cosine":
        return 1 - F.cosine_similarity(first, second, dim=1)
    return ((first - second).square().mean(dim=1) + ZERO_DISTANCE).sqrt()


def session_mmd(distances: Tensor, same_session: Tensor, speakers: Tensor, sigma: float | None = None) -> Tensor:
    """Session information in the distances within pairs: 0 if they do not tell pairs of one session from others.

    The squared maximum mean discrepancy (Gretton et al. 2012, JMLR 13, eq. 3, biased estimate) between a speaker's
    same-session and different-session distances, with a Gaussian kernel; the mean over the speakers. All speakers at once:
    with weights c = 1 / (same pairs of the speaker) or -1 / (different pairs), it is c^T K c within each speaker.

    Parameters
    ----------
    distances : (pairs,) torch.Tensor
    same_session : (pairs,) bool torch.Tensor
    speakers : (pairs,) integer torch.Tensor
    sigma : float, optional
        Of the kernel; None takes the median of the distances, which suits their scale whatever it is.

    Returns
    -------
    () torch.Tensor
        0 or more.

    Raises
    ------
    ValueError
        If a speaker has pairs of one kind only: there is nothing to match.
    """
    _, speaker, counts = torch.unique(speakers, return_inverse=True, return_counts=True)
    same_counts = torch.zeros_like(counts).scatter_add(0, speaker, same_session.long())
    if bool(((same_counts == 0) | (same_counts == counts)).any()):
        raise ValueError("a speaker has pairs within sessions only, or across sessions only; leave such speakers out")
    weights = torch.where(same_session, 1 / same_counts[speaker], -1 / (counts - same_counts)[speaker])
    width = distances.detach().median().clamp_min(ZERO_DISTANCE**0.5) if sigma is None else sigma
    kernel = torch.exp(-(distances[:, None] - distances[None]).square() / (2 * width**2))
    of_one_speaker = speaker[:, None] == speaker[None]
    return (weights[:, None] * weights[None] * kernel * of_one_speaker).sum() / len(counts)
