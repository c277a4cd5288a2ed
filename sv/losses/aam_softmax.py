"""Additive angular margin softmax."""

import math
from typing import Literal

import torch
from torch import Tensor

from sv.losses.margin_softmax import MarginSoftmax

Tail = Literal["continuous", "published", "easy"]


class AAMSoftmax(MarginSoftmax):
    """Additive angular margin softmax (Deng et al. 2019, arXiv:1801.07698, eq. 3); margin in radians.

    Parameters
    ----------
    dim, num_speakers, scale, subcenters
        As in `MarginSoftmax`.
    tail : "continuous", "published" or "easy"
        The target's logit where theta > pi - margin, beyond which cos(theta + margin) would rise again:
        cos(theta) - (1 - cos(margin)) continues it without a jump; cos(theta) - margin sin(margin) is what the
        published ExU-Net code, voxceleb_trainer and most others have. "easy" is their easy margin: none at all where
        theta > pi / 2.
    """

    def __init__(
        self, dim: int, num_speakers: int, scale: float = 30.0, tail: Tail = "continuous", subcenters: int = 1
    ) -> None:
        super().__init__(dim, num_speakers, scale, subcenters)
        if tail not in ("continuous", "published", "easy"):
            raise ValueError(f"tail must be continuous, published or easy, got {tail!r}")
        self.tail = tail

    def shifted(self, target: Tensor, margin: float) -> Tensor:
        """Add the margin to the angle; past the tail's start as the class says."""
        sin = torch.sqrt((1 - target.square()).clamp_min(1e-7))  # > 0: finite gradient at cos = 1
        shifted = target * math.cos(margin) - sin * math.sin(margin)  # cos(theta + margin)
        if self.tail == "easy":
            return torch.where(target > 0, shifted, target)
        drop = 1 - math.cos(margin) if self.tail == "continuous" else margin * math.sin(margin)
        return torch.where(target > -math.cos(margin), shifted, target - drop)
