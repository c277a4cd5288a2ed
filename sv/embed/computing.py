"""Networks as extraction runs them: one small interface, whatever computes them and in whatever precision."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sv.base.log import get_logger
from sv.models.folding import for_inference
from sv.models.precision import Precision, autocast, choose_precision, narrowed


@dataclass(frozen=True, kw_only=True)
class Computing:
    """Record of what computes embeddings; part of the stamp of every result.

    Attributes
    ----------
    precision : "float32" or "bf16"
        Of multiplications; statistics over frames are float32 in both.
    runtime : "torch", or a name of `sv.base.packages.RUNTIMES`
        Of a system of ours. Models from elsewhere have their own, which counts as "torch".
    """

    precision: Precision = "float32"
    runtime: str = "torch"

    def to_dict(self) -> dict[str, str]:
        """As it is stored beside embeddings."""
        return asdict(self)


class Network(Protocol):
    """A network ready to embed.

    Attributes
    ----------
    computing : Computing
    device : torch.device
        Where it reads its input.
    """

    computing: Computing
    device: torch.device

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames), on `device`: (batch, embedding_dim)."""


class TorchNetwork:
    """A copy of a model, made for inference, that torch computes."""

    def __init__(self, model: Any, precision: Precision = "float32") -> None:
        folded = for_inference(model)
        self.model: nn.Module = folded if precision == "float32" else narrowed(folded)
        self.computing = Computing(precision=precision)
        self.device = next((weight.device for weight in model.parameters()), torch.device("cpu"))

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames): (batch, embedding_dim)."""
        if self.computing.precision == "float32":
            return self.model.embed(features)
        with autocast(self.device, self.computing.precision):
            return self.model.embed(features)


def said_precision(asked: str, device: torch.device | str) -> Precision:
    """Choose the precision that a user asks for; what there is to say about it becomes one line of the log."""
    precision, why = choose_precision(asked, device)
    if why:
        get_logger("embed").info("%s", why)
    return precision
