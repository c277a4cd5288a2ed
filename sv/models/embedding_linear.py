"""An affine map from one embedding to another: mean subtraction, LDA, WCCN."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.network import Network


@dataclass(frozen=True, kw_only=True)
class EmbeddingLinearConfig:
    """Dimensions of an affine map.

    Attributes
    ----------
    embedding_dim : int
        Of the input.
    output_dim : int, optional
        That of the input if not given.
    """

    embedding_dim: int = 512
    output_dim: int | None = None
    num_mel_bins: ClassVar[None] = None

    def __post_init__(self) -> None:
        if min(self.embedding_dim, self.output_dim or 1) < 1:
            raise ValueError(
                f"embedding_dim and output_dim must be positive, got {self.embedding_dim} and {self.output_dim}"
            )


class EmbeddingLinear(Network):
    """`transform @ (embedding - mean)`; the features of this model are embeddings."""

    def __init__(self, config: EmbeddingLinearConfig) -> None:
        super().__init__()
        self.config = config
        self.mean = nn.Parameter(torch.zeros(config.embedding_dim))
        self.transform = nn.Parameter(torch.eye(config.output_dim or config.embedding_dim, config.embedding_dim))

    def embed(self, features: Tensor) -> Tensor:
        """Map embeddings (batch, embedding_dim) to (batch, output_dim)."""
        return F.linear(features - self.mean, self.transform)
