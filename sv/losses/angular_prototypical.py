"""Angular prototypical loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.losses.base import NO_OPTIONS, NoOptions
from sv.losses.prototypes import PrototypeLoss

SCALE, BIAS = 10.0, -5.0  # before training
MIN_SCALE = 1e-6


class AngularPrototypical(PrototypeLoss):
    """Softmax of scaled cosines (Chung et al. 2020, arXiv:2003.11982, eq. 6).

    Scale and bias are learned; the scale is kept positive, as the published code means to but does not: it discards the
    clamped value. The bias has no gradient but rounding, since a softmax does not see what all its logits share.
    """

    def __init__(self, config: NoOptions = NO_OPTIONS) -> None:
        super().__init__(config)
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.bias = nn.Parameter(torch.tensor(BIAS))

    def similarities(self, queries: Tensor, prototypes: Tensor) -> Tensor:
        """Scaled cosines, (queries, prototypes)."""
        cos = F.linear(F.normalize(queries), F.normalize(prototypes))
        return self.scale.clamp_min(MIN_SCALE) * cos + self.bias
