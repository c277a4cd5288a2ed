"""Embeddings as features, for models that make embeddings better."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig:
    """Treatment of an embedding before the model sees it.

    Attributes
    ----------
    normalise : bool
        To length 1.
    """

    normalise: bool = True
    input_rate: ClassVar[None] = None
    num_mel_bins: ClassVar[None] = None
    shift_ms: ClassVar[None] = None


class EmbeddingInput(nn.Module):
    """Embeddings as they are, or length-normalised; nothing is learned."""

    device = torch.device("cpu")  # embeddings stay where they are

    def __init__(self, config: EmbeddingConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map (batch, dim) to the same shape."""
        return F.normalize(embeddings, dim=-1) if self.config.normalise else embeddings
