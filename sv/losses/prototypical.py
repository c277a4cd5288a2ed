"""Prototypical loss."""

from torch import Tensor

from sv.losses.prototypes import PrototypeLoss


class Prototypical(PrototypeLoss):
    """Softmax of negative squared Euclidean distances, embeddings as they are (Snell et al. 2017, arXiv:1703.05175, eq. 2).

    voxceleb_trainer means the same, but its call reduces over another axis since PyTorch 1.10.
    """

    def similarities(self, queries: Tensor, prototypes: Tensor) -> Tensor:
        """Negative squared distances, (queries, prototypes)."""
        products = queries @ prototypes.T
        squares = [side.square().sum(dim=1) for side in (queries, prototypes)]
        return 2 * products - squares[0][:, None] - squares[1]
