"""Output of every network."""

from typing import NamedTuple

from torch import Tensor


class Embedded(NamedTuple):
    """Output of a forward pass.

    Attributes
    ----------
    embedding : (batch, dim) torch.Tensor
        Speaker embedding, not length-normalised.
    enhanced : (batch, mels, frames) torch.Tensor or None
        Estimate of the clean features, in the domain of the input features; None from a model that does not enhance.
    """

    embedding: Tensor
    enhanced: Tensor | None
