"""Speaker classification by a linear layer."""

import torch.nn.functional as F
from torch import Tensor, nn


class SoftmaxLoss(nn.Module):
    """Cross-entropy of a linear speaker classifier with bias."""

    def __init__(self, dim: int, num_speakers: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(dim, num_speakers)

    def forward(self, embeddings: Tensor, speaker_ids: Tensor) -> Tensor:
        """Mean loss of (batch, dim) embeddings of the speakers (batch,)."""
        return F.cross_entropy(self.classifier(embeddings), speaker_ids)
