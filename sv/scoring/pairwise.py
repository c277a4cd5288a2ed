"""Scores over all pairs of two utterances' segments."""

from collections.abc import Mapping
from itertools import product

import numpy as np

from sv.kaldi.trials import Trials
from sv.scoring.cosine import row_products, rows_of, unit_rows

DISTANCE_EPSILON = 1e-6  # what the published code's distance adds to every difference component


def _unit_segments(segments: Mapping[str, np.ndarray], utts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Length-normalised segments of all utterances, (num_segments, dim), and how many each has."""
    counts = np.array([len(segments[utt]) for utt in utts])
    names = np.repeat(np.array(utts, dtype=object), counts)
    return unit_rows(np.concatenate([segments[utt] for utt in utts]), names), counts


def mean_cos(trials: Trials, segments: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean cosine over all pairs of segments of each trial, (num_trials,) float64.

    Parameters
    ----------
    trials : Trials
    segments : mapping of utterance to (num_segments, dim) numpy.ndarray

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
    utts, (enrolment, test) = rows_of(segments, "segment embeddings", trials.enrolment, trials.test)
    units, counts = _unit_segments(segments, utts)
    means = np.add.reduceat(units, np.cumsum(counts) - counts) / counts[:, None]
    return row_products(means, means, enrolment, test)


def neg_mean_l2(trials: Trials, segments: Mapping[str, np.ndarray]) -> np.ndarray:
    """Negative mean Euclidean distance over all pairs of length-normalised segments of each trial, (num_trials,).

    The score of the published ExU-Net evaluation, as it means it: current PyTorch reduces another axis of the same call.
    Parameters and errors are those of `mean_cos`.
    """
    utts, (enrolment, test) = rows_of(segments, "segment embeddings", trials.enrolment, trials.test)
    units, counts = _unit_segments(segments, utts)
    shifted = units + DISTANCE_EPSILON
    squares, first = np.einsum("ij,ij->i", shifted, shifted), np.cumsum(counts) - counts
    scores = np.empty(len(trials))
    shapes = counts[enrolment] * (counts.max(initial=0) + 1) + counts[test]
    for shape in np.unique(shapes):  # trials of equal segment counts are array operations together
        rows = np.flatnonzero(shapes == shape)
        left, right = first[enrolment[rows]], first[test[rows]]
        pairs = list(product(range(counts[enrolment[rows[0]]]), range(counts[test[rows[0]]])))
        total = np.zeros(len(rows))
        for i, j in pairs:
            # |a - b|^2 = |a|^2 + |b|^2 - 2 a b; in double precision right to 1e-8 even for equal segments.
            products = row_products(shifted, units, left + i, right + j)
            total += np.sqrt(np.maximum(squares[left + i] + 1 - 2 * products, 0))
        scores[rows] = -total / len(pairs)
    return scores
