"""Speaker classification of embeddings of one length."""

import torch.nn.functional as F
from torch import Tensor

from sv.losses.softmax import SoftmaxLoss


class NormSoftmaxLoss(SoftmaxLoss):
    """Cross-entropy of a linear speaker classifier on embeddings that are scaled to one norm; RawNet2's loss.

    Parameters
    ----------
    dim, num_speakers : int
    norm : float
    """

    def __init__(self, dim: int, num_speakers: int, norm: float = 10.0) -> None:
        super().__init__(dim, num_speakers)
        self.norm = norm

    def forward(self, embeddings: Tensor, speaker_ids: Tensor) -> Tensor:
        """Mean loss of (batch, dim) embeddings, of any length, of the speakers (batch,)."""
        return super().forward(self.norm * F.normalize(embeddings), speaker_ids)
