"""Additive margin softmax."""

from torch import Tensor

from sv.losses.margin_softmax import MarginSoftmax


class AMSoftmax(MarginSoftmax):
    """Additive margin softmax, also known as CosFace (Wang et al. 2018, arXiv:1801.05599, eq. 7; arXiv:1801.09414).

    Parameters
    ----------
    dim, num_speakers : int
    config : MarginSoftmaxConfig
    """

    def shifted(self, target: Tensor, margin: float) -> Tensor:
        """Subtract the margin from the cosine."""
        return target - margin
