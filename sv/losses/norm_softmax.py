"""Speaker classification of embeddings of one length."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from sv.base.config import require
from sv.losses.softmax import SoftmaxLoss


@dataclass(frozen=True, kw_only=True)
class NormSoftmaxConfig:
    """Classification of embeddings scaled to one norm.

    Attributes
    ----------
    norm : float
    """

    norm: float = 10.0

    def __post_init__(self) -> None:
        require(self, positive=("norm",))


class NormSoftmaxLoss(SoftmaxLoss):
    """Cross-entropy of a linear speaker classifier on embeddings that are scaled to one norm; RawNet2's loss.

    Parameters
    ----------
    dim, num_speakers : int
    config : NormSoftmaxConfig
    """

    def __init__(self, dim: int, num_speakers: int, config: NormSoftmaxConfig) -> None:
        super().__init__(dim, num_speakers, config)

    def forward(self, embeddings: Tensor, speaker_ids: Tensor, margin: float = 0.0) -> Tensor:
        """Mean loss of (batch, dim) embeddings, of any length, of the speakers (batch,); `margin` is ignored."""
        return super().forward(self.config.norm * F.normalize(embeddings), speaker_ids)
