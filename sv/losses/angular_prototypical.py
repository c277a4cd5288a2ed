"""Angular prototypical loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AngularPrototypical(nn.Module):
    """Cross-entropy over scaled cosines of each query with all prototypes (Chung et al. 2020, arXiv:2003.11982, eq. 6).

    Scale and bias are learned. The scale is not kept positive: the published code means to, but discards the clamped
    value.
    """

    def __init__(self, scale: float = 10.0, bias: float = -5.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, queries: Tensor, prototypes: Tensor) -> Tensor:
        """Mean loss of (n, dim) queries, e.g. noisy embeddings, of which i belongs to prototype i of (n, dim)."""
        cos = F.linear(F.normalize(queries), F.normalize(prototypes))  # (n, n)
        return F.cross_entropy(self.scale * cos + self.bias, torch.arange(len(queries), device=cos.device))
