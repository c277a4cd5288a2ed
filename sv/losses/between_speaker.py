"""Between-speaker loss."""

from torch import Tensor

SQUARED_NORM = 5.0
EPSILON = 1e-4  # added to the norm's ratio


def between_speaker(weight: Tensor) -> Tensor:
    """Likeness of the speakers' weight vectors: about five times their mean cosine (Heo et al. 2019, arXiv:1902.02455).

    Parameters
    ----------
    weight : (num_speakers, dim) torch.Tensor
        Of the speaker classifier; its rows are scaled to a norm of sqrt(5).

    Returns
    -------
    scalar torch.Tensor
        The mean of the products over all pairs; those of vectors with themselves count as 0, but are counted, as in
        the published RawNet code.
    """
    rows = weight / (weight.norm(dim=1, keepdim=True) / SQUARED_NORM**0.5 + EPSILON)
    # The sum of all products is the square of the summed rows; no (num_speakers, num_speakers) matrix is needed.
    return (rows.sum(dim=0).square().sum() - rows.square().sum()) / len(rows) ** 2
