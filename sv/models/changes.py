"""Small trainable changes of a network's weights, which can be added to them afterwards: adapters that cost nothing to run."""

import math

import torch
from torch import Tensor, nn


class LowRankChanges(nn.Module):
    """A change of every parameter of a network, at first 0: of a matrix a product of low rank, of a vector one of its size.

    A kernel counts as a matrix with a row per first index (Hu et al. 2022, arXiv:2106.09685, applied to every layer;
    gains and biases of norms and layers change as they are). Names are the network's, with / for the dots.

    Parameters
    ----------
    model : torch.nn.Module
    rank : int
        At most; a matrix with fewer rows or columns has no more.
    """

    def __init__(self, model: nn.Module, rank: int) -> None:
        super().__init__()
        self.down, self.up, self.offsets = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        for name, parameter in model.named_parameters():
            key = name.replace(".", "/")
            if parameter.ndim < 2:
                self.offsets[key] = nn.Parameter(torch.zeros_like(parameter))
                continue
            rows, columns = len(parameter), parameter[0].numel()
            inner = min(rank, rows, columns)
            self.down[key] = nn.Parameter(torch.randn(inner, columns) / math.sqrt(columns))
            self.up[key] = nn.Parameter(torch.zeros(rows, inner))

    def changed(self, model: nn.Module) -> dict[str, Tensor]:
        """Parameters of the network with the changes added, by name; gradients flow to the changes."""
        return {name: parameter + self._change(name, parameter) for name, parameter in model.named_parameters()}

    def _change(self, name: str, parameter: Tensor) -> Tensor:
        key = name.replace(".", "/")
        if key in self.offsets:
            return self.offsets[key]
        return (self.up[key] @ self.down[key]).view(parameter.shape)
