"""Two-covariance PLDA as Kaldi trains, adapts and scores it (src/ivector/plda.cc; Ioffe 2006, "Probabilistic LDA")."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.linalg import eigh

from sv.scoring.speakers import speaker_statistics

LengthNorm = Literal["expected", "simple", "none"]


@dataclass(frozen=True, eq=False)
class Plda:
    """x = mean + y + e, with y ~ N(0, B) the speaker's part and e ~ N(0, W) the utterance's, in Kaldi's form.

    Attributes
    ----------
    mean : (dim,) float64 numpy.ndarray
    transform : (dim, dim) float64 numpy.ndarray
        T with T W T' = I and T B T' = diag(psi). The signs of its rows are arbitrary.
    psi : (dim,) float64 numpy.ndarray
        Variances between speakers where those within are one, largest first.
    """

    mean: np.ndarray
    transform: np.ndarray
    psi: np.ndarray

    def __post_init__(self) -> None:
        dim = len(self.psi)
        if self.mean.shape != (dim,) or self.transform.shape != (dim, dim) or self.psi.shape != (dim,):
            shapes = f"{self.mean.shape}, {self.transform.shape} and {self.psi.shape}"
            raise ValueError(f"mean, transform and psi of a PLDA model do not fit together: {shapes}")
        if not (self.psi >= 0).all():
            raise ValueError(f"a PLDA model's psi are variances, got {self.psi.min():g}")


def train_plda(vectors: np.ndarray, speakers: Sequence, num_iters: int = 10) -> Plda:
    """Fit by expectation maximisation, from B = W = I, for a fixed number of iterations.

    Parameters
    ----------
    vectors : (num_utts, dim) numpy.ndarray
    speakers : (num_utts,) sequence
        One label per utterance.
    num_iters : int
        Kaldi's ten are short of convergence; published numbers use them.

    Raises
    ------
    ValueError
        If there are not more utterances than dimensions, or no speaker has two.

    Notes
    -----
    Every speaker weighs the same in `mean` and B, however many utterances it has. After each iteration the space is
    changed to where W = I and B is diagonal, such that a speaker's posterior is a product per dimension, whatever its
    number of utterances; in exact arithmetic that is Kaldi's update.
    """
    num_utts, dim = vectors.shape
    if num_utts <= dim:
        raise ValueError(f"PLDA of {dim} dimensions needs more than {dim} utterances, got {num_utts}; keep fewer (LDA)")
    statistics = speaker_statistics(vectors, speakers)
    mean = statistics.means.mean(axis=0)
    counts = statistics.counts[:, None]
    transform, psi = np.eye(dim), np.ones(dim)
    for _ in range(num_iters):
        offsets = (statistics.means - mean) @ transform.T  # (num_speakers, dim)
        posterior_variances = psi / (1 + counts * psi)
        posterior_means = counts * posterior_variances * offsets
        residuals = offsets - posterior_means
        between = np.diag(posterior_variances.mean(axis=0)) + posterior_means.T @ posterior_means / len(counts)
        within = transform @ statistics.scatter @ transform.T
        within += np.diag((counts * posterior_variances).sum(axis=0)) + residuals.T @ (counts * residuals)
        change, psi = diagonalise(within / num_utts, between)
        transform = change @ transform
    return Plda(mean, transform, psi)


def diagonalise(within: np.ndarray, between: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T and psi with T within T' = I and T between T' = diag(psi), psi largest first."""
    psi, axes = eigh(between, within)
    return axes[:, ::-1].T, psi[::-1]


def smooth_plda(plda: Plda, factor: float) -> Plda:
    """The model with `factor` times the covariance between speakers added to that within (ivector-copy-plda)."""
    scale = 1 + factor * plda.psi
    return replace(plda, transform=plda.transform / np.sqrt(scale)[:, None], psi=plda.psi / scale)


def adapt_plda(
    plda: Plda,
    vectors: np.ndarray,
    mean_diff_scale: float = 1.0,
    within_scale: float = 0.3,
    between_scale: float = 0.7,
) -> Plda:
    """Adapt to another domain by unlabelled embeddings from it (ivector-adapt-plda).

    In directions where they vary more than the model expects, the excess is shared out between its two covariances; in
    all others nothing changes. Kaldi's sre16 recipe uses 0.75 and 0.25.

    Parameters
    ----------
    plda : Plda
    vectors : (num_utts, dim) numpy.ndarray
        Made as the training ones were.
    mean_diff_scale : float
        Weight of the difference of the means in the new total covariance.
    within_scale, between_scale : float
        Shares of the excess.

    Raises
    ------
    ValueError
        If there is no vector, or they are of another dimension.
    """
    if vectors.ndim != 2 or len(vectors) == 0 or vectors.shape[1] != len(plda.psi):
        raise ValueError(f"PLDA of {len(plda.psi)} dimensions cannot be adapted by vectors of shape {vectors.shape}")
    mean = vectors.mean(axis=0, dtype=np.float64)
    centred, shift = vectors - mean, mean - plda.mean
    total = centred.T @ centred / len(vectors) + mean_diff_scale * np.outer(shift, shift)
    whitening = plda.transform / np.sqrt(1 + plda.psi)[:, None]  # makes the model's total covariance I
    variances, axes = eigh(whitening @ total @ whitening.T)
    excess = np.maximum(variances - 1, 0)
    within = (axes.T / (1 + plda.psi)) @ axes + np.diag(within_scale * excess)
    between = (axes.T * (plda.psi / (1 + plda.psi))) @ axes + np.diag(between_scale * excess)
    transform, psi = diagonalise(within, between)
    return Plda(mean, transform @ axes.T @ whitening, psi)


def project(
    plda: Plda, vectors: np.ndarray, num_utts: np.ndarray | int = 1, length_norm: LengthNorm = "expected"
) -> np.ndarray:
    """Move vectors to where W = I and B = diag(psi), and normalise their length there.

    Parameters
    ----------
    vectors : (n, dim) numpy.ndarray
    num_utts : (n,) int numpy.ndarray or int
        How many utterances each is the average of.
    length_norm : "expected", "simple" or "none"
        Kaldi's default makes the Mahalanobis norm under the covariance expected of such an average sqrt(dim);
        its --simple-length-normalization makes the Euclidean norm sqrt(dim).

    Returns
    -------
    (n, dim) float64 numpy.ndarray
    """
    projected = (vectors - plda.mean) @ plda.transform.T
    if length_norm == "none":
        return projected
    expected = plda.psi + 1 / np.reshape(num_utts, (-1, 1)) if length_norm == "expected" else np.ones((1, 1))
    squares = np.einsum("ij,ij,ij->i", projected, projected, np.broadcast_to(1 / expected, projected.shape))
    projected *= np.sqrt(len(plda.psi) / np.where(squares > 0, squares, 1.0))[:, None]
    return projected


def llr_sides(
    plda: Plda, enrolment: np.ndarray, num_utts: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays whose rows' dot products are log-likelihood ratios of `project`-ed vectors.

    The ratio is that of the test vector's density given the enrolled speaker, whose n utterances average to the enrolment
    vector e, to its density given a new one. With a = n psi / (n psi + 1) and v = 1 + psi / (n psi + 1), in each dimension

        2 llr = log(1 + psi) - log v + t^2 / (1 + psi) - (t - a e)^2 / v,

    which is linear in t and t^2, so that whole lists and matrices of trials are matrix products.

    Parameters
    ----------
    enrolment : (n, dim) numpy.ndarray
    num_utts : (n,) int numpy.ndarray
    test : (m, dim) numpy.ndarray

    Returns
    -------
    (n, k) and (m, k) float64 numpy.ndarray
    """
    counts = np.unique(num_utts)
    equal = len(counts) == 1
    n = counts[:, None] if equal else num_utts[:, None]
    gain = n * plda.psi / (n * plda.psi + 1)
    variance = 1 + plda.psi / (n * plda.psi + 1)
    bias = 0.5 * (np.log1p(plda.psi) - np.log(variance) - (gain * enrolment) ** 2 / variance).sum(axis=1)
    weights = 0.5 * (1 / (1 + plda.psi) - 1 / variance)  # of the squares of the test vector
    if equal:  # one column instead of dim
        quadratic, squares = np.ones((len(enrolment), 1)), test**2 @ weights.T
    else:
        quadratic, squares = weights, test**2
    left = np.column_stack([gain / variance * enrolment, bias, quadratic])
    return left, np.column_stack([test, np.ones(len(test)), squares])
