"""Base class of all networks."""

from torch import Tensor

from sv.models.folding import Foldable
from sv.models.output import Embedded


class Network(Foldable):
    """Network from features to speaker embeddings.

    A subclass sets `config` and implements `embed`; one that also enhances overrides `forward`, and one that has a cheaper
    form for inference `folded`. The contract with callers is `sv.models.protocol.Model`.
    """

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Embedded:
        """Embed (batch, mels, frames) features."""
        return Embedded(self.embed(features), None)
