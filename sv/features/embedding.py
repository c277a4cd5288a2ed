"""Embeddings as features, for models that make embeddings better."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig:
    """What becomes of an embedding before the model sees it.

    Attributes
    ----------
    normalise : bool
        To length 1.
    """

    normalise: bool = True


class EmbeddingInput(nn.Module):
    """Embeddings as they are, or length-normalised; nothing is learned."""

    def __init__(self, config: EmbeddingConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map (batch, dim) to the same shape."""
        return F.normalize(embeddings, dim=-1) if self.config.normalise else embeddings
