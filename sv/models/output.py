"""Output of every network."""

from typing import NamedTuple

from torch import Tensor


class Embedded(NamedTuple):
    """Output of a forward pass; what a model does not estimate is None.

    Attributes
    ----------
    embedding : (batch, dim) torch.Tensor
        Speaker embedding, not length-normalised.
    enhanced : (batch, mels, frames) torch.Tensor or None
        Estimate of the clean features, in the domain of the input features.
    background : (batch, mels, frames) torch.Tensor or None
        Estimate of what is heard besides, in the same domain.
    """

    embedding: Tensor
    enhanced: Tensor | None
    background: Tensor | None = None
