"""The gated recurrent unit that Keras had before its version 2.1.5 (`reset_after=False`)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def hard_sigmoid(values: Tensor) -> Tensor:
    """Keras' hard sigmoid, 0.2 x + 0.5 within [0, 1]; PyTorch's has a slope of 1/6."""
    return (0.2 * values + 0.5).clamp(0, 1)


class KerasGRU(nn.Module):
    """One layer that keeps its last state only (Cho et al. 2014, arXiv:1406.1078, where the reset precedes the product).

    `torch.nn.GRU` cannot take its weights: that multiplies first and resets then, and its gates are plain sigmoids.

    Parameters
    ----------
    in_dim, dim : int
    recurrent_dropout : float
        Share of the state that is hidden from a gate; one draw per gate and sequence, kept for all its steps.
    """

    def __init__(self, in_dim: int, dim: int, recurrent_dropout: float = 0.0) -> None:
        super().__init__()
        self.recurrent_dropout = recurrent_dropout
        # Gates are stacked in Keras' order: update z, reset r, candidate h.
        self.weight_ih = nn.Parameter(nn.init.xavier_uniform_(torch.empty(3 * dim, in_dim)))
        self.weight_hh = nn.Parameter(nn.init.orthogonal_(torch.empty(3 * dim, dim)))
        self.bias = nn.Parameter(torch.zeros(3 * dim))

    def forward(self, frames: Tensor) -> Tensor:
        """Reduce (batch, frames, in_dim) to (batch, dim)."""
        recurrent = self.weight_hh.chunk(3)
        state = frames.new_zeros(frames.shape[0], recurrent[0].shape[1])
        seen = F.dropout(state.new_ones(3, *state.shape), self.recurrent_dropout, self.training)
        for of_frame in F.linear(frames, self.weight_ih, self.bias).unbind(dim=1):
            of_update, of_reset, of_candidate = of_frame.chunk(3, dim=1)
            update = hard_sigmoid(of_update + F.linear(state * seen[0], recurrent[0]))
            reset = hard_sigmoid(of_reset + F.linear(state * seen[1], recurrent[1]))
            candidate = torch.tanh(of_candidate + F.linear(reset * state * seen[2], recurrent[2]))
            state = update * state + (1 - update) * candidate
        return state
