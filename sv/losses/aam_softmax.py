"""Additive angular margin softmax."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Tail = Literal["continuous", "published"]


class AAMSoftmax(nn.Module):
    """Additive angular margin softmax (Deng et al. 2019, arXiv:1801.07698, eq. 3).

    Parameters
    ----------
    dim, num_speakers : int
    scale : float
        Multiplies the cosines.
    tail : "continuous" or "published"
        The target's logit where theta > pi - margin, beyond which cos(theta + margin) would rise again:
        cos(theta) - (1 - cos(margin)) continues it without a jump; cos(theta) - margin sin(margin) is what the
        published ExU-Net code and most others have.
    """

    def __init__(self, dim: int, num_speakers: int, scale: float = 30.0, tail: Tail = "continuous") -> None:
        super().__init__()
        if tail not in ("continuous", "published"):
            raise ValueError(f"tail must be continuous or published, got {tail!r}")
        self.scale = scale
        self.tail = tail
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_speakers, dim)))

    def forward(self, embeddings: Tensor, speaker_ids: Tensor, margin: float) -> Tensor:
        """Mean loss of (batch, dim) embeddings of the speakers (batch,); margin in radians."""
        cos = F.linear(F.normalize(embeddings), F.normalize(self.weight))  # (batch, num_speakers)
        target = cos.gather(1, speaker_ids[:, None])  # (batch, 1)
        sin = torch.sqrt((1 - target.square()).clamp_min(1e-7))  # > 0: finite gradient at cos = 1
        shifted = target * math.cos(margin) - sin * math.sin(margin)  # cos(theta + margin)
        drop = 1 - math.cos(margin) if self.tail == "continuous" else margin * math.sin(margin)
        shifted = torch.where(target > -math.cos(margin), shifted, target - drop)
        return F.cross_entropy(self.scale * cos.scatter(1, speaker_ids[:, None], shifted), speaker_ids)
