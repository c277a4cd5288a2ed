"""Speaker classification by a linear layer."""

import torch.nn.functional as F
from torch import Tensor, nn

from sv.losses.base import NO_OPTIONS, ClassifierLoss, NoOptions


class SoftmaxLoss(ClassifierLoss):
    """Cross-entropy of a linear speaker classifier with bias."""

    def __init__(self, dim: int, num_speakers: int, config: NoOptions = NO_OPTIONS) -> None:
        super().__init__(dim, num_speakers, config)
        self.classifier = nn.Linear(dim, num_speakers)

    def forward(self, embeddings: Tensor, speaker_ids: Tensor, margin: float = 0.0) -> Tensor:
        """Mean loss of (batch, dim) embeddings of the speakers (batch,); `margin` is ignored."""
        return F.cross_entropy(self.classifier(embeddings), speaker_ids)
