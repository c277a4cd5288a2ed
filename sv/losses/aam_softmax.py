"""Additive angular margin softmax."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sv.losses.margin_softmax import MarginSoftmax, MarginSoftmaxConfig

Tail = Literal["continuous", "published", "easy"]


@dataclass(frozen=True, kw_only=True)
class AAMSoftmaxConfig(MarginSoftmaxConfig):
    """Options of AAM-softmax.

    Attributes
    ----------
    scale, subcenters
        As in `MarginSoftmaxConfig`.
    tail : "continuous", "published" or "easy"
        The target's logit where theta > pi - margin, beyond which cos(theta + margin) would rise again:
        cos(theta) - (1 - cos(margin)) continues it without a jump; cos(theta) - margin sin(margin) is in the published
        ExU-Net code, voxceleb_trainer and most others. "easy" is their easy margin: no margin where theta > pi / 2.
    """

    tail: Tail = "continuous"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tail not in ("continuous", "published", "easy"):
            raise ValueError(f"tail must be continuous, published or easy, got {self.tail!r}")


class AAMSoftmax(MarginSoftmax):
    """Additive angular margin softmax (Deng et al. 2019, arXiv:1801.07698, eq. 3); margin in radians.

    Parameters
    ----------
    dim, num_speakers : int
    config : AAMSoftmaxConfig
    """

    def shifted(self, target: Tensor, margin: float) -> Tensor:
        """Add the margin to the angle; past the tail's start as the config says."""
        sin = torch.sqrt((1 - target.square()).clamp_min(1e-7))  # > 0: finite gradient at cos = 1
        shifted = target * math.cos(margin) - sin * math.sin(margin)  # cos(theta + margin)
        if self.config.tail == "easy":
            return torch.where(target > 0, shifted, target)
        drop = 1 - math.cos(margin) if self.config.tail == "continuous" else margin * math.sin(margin)
        return torch.where(target > -math.cos(margin), shifted, target - drop)
