"""Margin softmax: cosines with class vectors, of which the target's is made harder."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import require
from sv.losses.base import ClassifierLoss


@dataclass(frozen=True, kw_only=True)
class MarginSoftmaxConfig:
    """Options of every margin softmax loss; the margin itself is an argument, since it may rise.

    Attributes
    ----------
    scale : float
        Multiplies the cosines.
    subcenters : int
        Class vectors per speaker, the nearest of which counts: noisy labels and odd recordings gather at another one
        (Deng et al. 2020, "Sub-center ArcFace", ECCV, eq. 3).
    """

    scale: float = 30.0
    subcenters: int = 1

    def __post_init__(self) -> None:
        require(self, at_least_one=("subcenters",), positive=("scale",))


class MarginSoftmax(ClassifierLoss):
    """Cross-entropy of scaled cosines with the target's lowered; a subclass says how, in `shifted`.

    Parameters
    ----------
    dim, num_speakers : int
    config : MarginSoftmaxConfig

    Attributes
    ----------
    weight : (num_speakers * subcenters, dim) torch.nn.Parameter
        Speaker-major.
    """

    def __init__(self, dim: int, num_speakers: int, config: MarginSoftmaxConfig) -> None:
        super().__init__(dim, num_speakers, config)
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(num_speakers * config.subcenters, dim)))

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosine of (batch, dim) embeddings with each speaker's nearest class vector, (batch, num_speakers)."""
        cos, subcenters = F.linear(F.normalize(embeddings), F.normalize(self.weight)), self.config.subcenters
        return cos if subcenters == 1 else cos.unflatten(1, (-1, subcenters)).max(dim=2).values

    def shifted(self, target: Tensor, margin: float) -> Tensor:
        """The target's cosine, of any shape, made smaller by the margin."""
        raise NotImplementedError

    def forward(self, embeddings: Tensor, speaker_ids: Tensor, margin: float = 0.0) -> Tensor:
        """Mean loss of (batch, dim) embeddings of the speakers (batch,)."""
        cos = self.cosines(embeddings)
        target = cos.gather(1, speaker_ids[:, None])  # (batch, 1)
        shifted = cos.scatter(1, speaker_ids[:, None], self.shifted(target, margin))
        return F.cross_entropy(self.config.scale * shifted, speaker_ids)
