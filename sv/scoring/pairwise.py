"""Scores over all pairs of two utterances' segments."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from sv.kaldi.trials import Trials
from sv.scoring.cosine import row_products, sides_of, unit_rows

DISTANCE_EPSILON = 1e-6  # what the published code's distance adds to every difference component


@dataclass(frozen=True, eq=False)
class _Side:
    """Segments of one side's utterances.

    Attributes
    ----------
    units : (num_segments, dim) float64 numpy.ndarray
        Length-normalised segments of all utterances, one after the other.
    first, counts : (num_utts,) int numpy.ndarray
        Each utterance's first row, and how many it has.
    """

    units: np.ndarray
    first: np.ndarray
    counts: np.ndarray


def _side(segments: Mapping[str, np.ndarray], utts: list[str]) -> _Side:
    counts = np.array([len(segments[utt]) for utt in utts])
    names = np.repeat(np.array(utts, dtype=object), counts)
    units = unit_rows(np.concatenate([segments[utt] for utt in utts]), names)
    return _Side(units, np.cumsum(counts) - counts, counts)


def _sides(
    trials: Trials, segments: Mapping[str, np.ndarray], test_segments: Mapping[str, np.ndarray] | None
) -> tuple[_Side, np.ndarray, _Side, np.ndarray]:
    """Both sides, and the utterance of each trial on either: the same object twice if there is one table of segments."""
    (utts, enrolment), (test_utts, test) = sides_of(trials, "segment embeddings", segments, test_segments)
    left = right = _side(segments, utts)
    if test_segments is not None:
        right = _side(test_segments, test_utts)
    return left, enrolment, right, test


def mean_cos(
    trials: Trials, segments: Mapping[str, np.ndarray], test_segments: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Mean cosine over all pairs of segments of each trial, (num_trials,) float64.

    Parameters
    ----------
    trials : Trials
    segments : mapping of utterance to (num_segments, dim) numpy.ndarray
        Of the enrolment side, and of the test side unless that has its own.
    test_segments : mapping, optional

    Raises
    ------
    KeyError
        If a trial's utterance has no segments.
    ValueError
        If an embedding is zero, NaN or infinite.

    Notes
    -----
    Equal to the dot product of the means of the length-normalised segments, which is how it is computed.
    """
    left, enrolment, right, test = _sides(trials, segments, test_segments)
    means = other = _means(left)
    if right is not left:
        other = _means(right)
    return row_products(means, other, enrolment, test)


def _means(side: _Side) -> np.ndarray:
    return np.add.reduceat(side.units, side.first) / side.counts[:, None]


def neg_mean_l2(
    trials: Trials, segments: Mapping[str, np.ndarray], test_segments: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Negative mean Euclidean distance over all pairs of length-normalised segments of each trial, (num_trials,).

    The score of the published ExU-Net evaluation, as it means it: current PyTorch reduces another axis of the same call.
    Parameters and errors are those of `mean_cos`.
    """
    left, enrolment, right, test = _sides(trials, segments, test_segments)
    shifted = left.units + DISTANCE_EPSILON
    squares = np.einsum("ij,ij->i", shifted, shifted)
    scores = np.empty(len(trials))
    shapes = left.counts[enrolment] * (right.counts.max(initial=0) + 1) + right.counts[test]
    for shape in np.unique(shapes):  # trials of equal segment counts are array operations together
        trial = np.flatnonzero(shapes == shape)
        first, other = left.first[enrolment[trial]], right.first[test[trial]]
        pairs = list(product(range(left.counts[enrolment[trial[0]]]), range(right.counts[test[trial[0]]])))
        total = np.zeros(len(trial))
        for i, j in pairs:
            # |a - b|^2 = |a|^2 + |b|^2 - 2 a b; in double precision right to 1e-8 even for equal segments.
            products = row_products(shifted, right.units, first + i, other + j)
            total += np.sqrt(np.maximum(squares[first + i] + 1 - 2 * products, 0))
        scores[trial] = -total / len(pairs)
    return scores
