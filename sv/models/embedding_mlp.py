"""Perceptrons from one embedding to a better one: an utterance's to its speaker's.

The four networks of the published code (MyLinearNet and its versions 2 to 4) are in `PUBLISHED`; their activation after
the last layer cannot reach negative values with ReLU.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.network import Network

ACTIVATIONS = {"elu": F.elu, "relu": F.relu}


@dataclass(frozen=True, kw_only=True)
class EmbeddingMLPConfig:
    """Layers of the network; the defaults are ours, not the published ones.

    Attributes
    ----------
    embedding_dim : int
        Of input and output.
    hidden : tuple of int
        Widths of the hidden layers as multiples of `embedding_dim`.
    activation : "elu" or "relu"
    activate_output : bool
        Apply the activation after the last layer too, as the published networks do.
    dropout : float
        Share of elements set to 0 in training, after the layers in `dropout_after`.
    dropout_after : tuple of int
        From 1. (The published code drops whole rows of the batch instead: its one-dimensional dropout takes the batch for
        channels.)
    residual : bool
        Add the input to the output.
    normalise_output : bool
        Length-normalise the output.
    """

    embedding_dim: int = 512
    hidden: tuple[int, ...] = (2, 4, 4, 2)
    activation: Literal["elu", "relu"] = "elu"
    activate_output: bool = False
    dropout: float = 0.0
    dropout_after: tuple[int, ...] = ()
    residual: bool = True
    normalise_output: bool = False
    num_mel_bins: ClassVar[None] = None

    def __post_init__(self) -> None:
        if self.embedding_dim < 1 or not self.hidden or min(self.hidden) < 1:
            raise ValueError(
                f"embedding_dim and every one of hidden must be positive, got {self.embedding_dim} and {self.hidden}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if bad := [layer for layer in self.dropout_after if not 1 <= layer <= len(self.hidden)]:
            raise ValueError(f"dropout_after names layers from 1 to {len(self.hidden)}, got {bad[0]}")


_PLAIN = {"activation": "relu", "activate_output": True, "residual": False}
PUBLISHED = {
    "v1": {**_PLAIN, "hidden": (2, 4, 4, 2), "dropout": 0.2, "dropout_after": (2, 3, 4)},
    "v2": {**_PLAIN, "hidden": (2, 4, 4, 2)},
    "v3": {**_PLAIN, "hidden": (2, 2), "dropout": 0.2, "dropout_after": (2,)},
    "v4": {**_PLAIN, "hidden": (2, 2, 4, 4, 2, 2)},
}


class EmbeddingMLP(Network):
    """Linear layers with one activation; the features of this model are embeddings."""

    def __init__(self, config: EmbeddingMLPConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.embedding_dim * multiple for multiple in (1, *config.hidden, 1)]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))

    def embed(self, features: Tensor) -> Tensor:
        """Map embeddings (batch, embedding_dim) to better ones of that shape."""
        config, hidden = self.config, features
        for number, layer in enumerate(self.layers, start=1):
            hidden = layer(hidden)
            if number < len(self.layers) or config.activate_output:
                hidden = ACTIVATIONS[config.activation](hidden)
            if number in config.dropout_after:
                hidden = F.dropout(hidden, config.dropout, self.training)
        if config.residual:
            hidden = hidden + features
        return F.normalize(hidden) if config.normalise_output else hidden
