"""Linear discriminant analysis, as Kaldi's ivector-compute-lda does it."""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh

from sv.scoring.speakers import speaker_statistics


def train_lda(
    vectors: np.ndarray,
    speakers: Sequence,
    dim: int,
    total_covariance_factor: float = 0.0,
    covariance_floor: float = 1e-6,
) -> np.ndarray:
    """Estimate the affine map to the directions in which speakers differ most relative to their own variability.

    Parameters
    ----------
    vectors : (num_utts, input_dim) numpy.ndarray
    speakers : (num_utts,) sequence
        One label per utterance.
    dim : int
        Directions to keep.
    total_covariance_factor : float
        0 makes the covariance within speakers white, 1 the total covariance.
    covariance_floor : float
        Of that covariance's eigenvalues, relative to the largest.

    Returns
    -------
    (dim, input_dim + 1) float64 numpy.ndarray
        Kaldi's transform.mat: the last column is the offset, which takes the mean of `vectors` to zero. The signs of the
        rows are arbitrary.

    Raises
    ------
    ValueError
        If `dim` is not in 1..input_dim, there are fewer utterances than dimensions, or no speaker has two.
    """
    num_utts, input_dim = vectors.shape
    if not 1 <= dim <= input_dim:
        raise ValueError(f"LDA can keep 1 to {input_dim} of {input_dim} dimensions, not {dim}")
    if num_utts < input_dim:
        raise ValueError(
            f"LDA of {input_dim}-dimensional embeddings needs at least {input_dim} utterances, got {num_utts}; "
            "train on more, or reduce the dimension first"
        )
    statistics = speaker_statistics(vectors, speakers)
    mean = statistics.counts @ statistics.means / num_utts
    within = statistics.scatter / num_utts
    centred = statistics.means - mean
    between = centred.T @ (statistics.counts[:, None] * centred) / num_utts
    variances, axes = eigh(within + total_covariance_factor * between)
    if variances[-1] <= 0:
        raise ValueError("the embeddings of each speaker are all the same, so LDA is undefined")
    whitening = axes / np.sqrt(np.maximum(variances, covariance_floor * variances[-1]))  # (input_dim, input_dim)
    _, directions = eigh(whitening.T @ between @ whitening)
    rows = (whitening @ directions[:, ::-1][:, :dim]).T
    return np.column_stack([rows, -rows @ mean])


def principal_axes(vectors: np.ndarray, dim: int) -> np.ndarray:
    """The `dim` orthonormal directions of largest variance of (num_utts, input_dim) vectors, (dim, input_dim)."""
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    last = centred.shape[1] - 1
    _, axes = eigh(centred.T @ centred, subset_by_index=(last - dim + 1, last))
    return axes[:, ::-1].T
