"""Base class of all networks."""

from torch import Tensor, nn

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

    def projections(self) -> list[nn.Parameter]:
        """Weights of an LSTM's projections, for which GE2E has a learning rate of its own; none without."""
        return []

    def forward(self, features: Tensor) -> Embedded:
        """Embed (batch, mels, frames) features."""
        return Embedded(self.embed(features), None)
