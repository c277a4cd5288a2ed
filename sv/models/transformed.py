"""An extractor with an affine map of its embeddings, as adaptation in closed form makes it: `sv.adaptation.closed_form`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.nested import inner_network, inner_record
from sv.models.network import Network


@dataclass(frozen=True, kw_only=True)
class TransformedConfig:
    """The table of the extractor.

    Attributes
    ----------
    extractor : dict
        Its [model] table, its type included.
    """

    extractor: dict = field(default_factory=lambda: {"type": "campplus"})

    def __post_init__(self) -> None:
        self.inner  # noqa: B018  (its own checks)

    @cached_property
    def inner(self) -> Any:
        """Record of the extractor."""
        return inner_record(self.extractor, ("transformed",))

    @property
    def num_mel_bins(self) -> int | None:
        """Rows of the features; None if the extractor reads waveforms."""
        return self.inner.num_mel_bins

    @property
    def embedding_dim(self) -> int:
        """Width of the embedding."""
        return self.inner.embedding_dim


class TransformedNetwork(Network):
    """`transform @ (embedding of length 1 - mean)`; as built, it changes no cosine."""

    def __init__(self, config: TransformedConfig) -> None:
        super().__init__()
        self.config = config
        self.extractor = inner_network(config.extractor, config.inner)
        self.mean = nn.Parameter(torch.zeros(config.embedding_dim))
        self.transform = nn.Parameter(torch.eye(config.embedding_dim))

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of such a network, or those of its extractor."""
        own = set(weights) == set(self.state_dict())
        (self if own else self.extractor).load_state_dict(weights)

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        return F.linear(F.normalize(self.extractor.embed(features)) - self.mean, self.transform)
