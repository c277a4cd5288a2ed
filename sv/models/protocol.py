"""Contract of the networks: all that callers may rely on."""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from sv.models.output import Embedded


@runtime_checkable
class ModelConfig(Protocol):
    """Configuration of a network."""

    @property
    def embedding_dim(self) -> int:
        """Width of the embedding. (Of `EmbeddingLinear`, whose output may be narrower, that of the input.)"""

    @property
    def num_mel_bins(self) -> int | None:
        """Rows of the features; None of a network that reads waveforms or embeddings. It must equal the front end's."""


@runtime_checkable
class Model(Protocol):
    """Network from features to embeddings; `sv.models.network.Network` is the base class that keeps this contract."""

    config: ModelConfig

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim), by the shortest way."""

    def __call__(self, features: Tensor) -> Embedded:
        """Embed (batch, mels, frames) features, and enhance them if the network does."""

    def projections(self) -> list[nn.Parameter]:
        """Weights of an LSTM's projections; empty without."""

    def folded(self) -> nn.Module:
        """Return the form for inference, which may take the network's parts: `sv.models.folding.for_inference` copies it."""
