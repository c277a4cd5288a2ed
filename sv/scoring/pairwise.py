"""Scores over all pairs of two utterances' segments."""

from collections.abc import Mapping

import numpy as np

from sv.kaldi.trials import Trials
from sv.scoring.cosine import row_products, rows_of, unit_rows

DISTANCE_EPSILON = 1e-6  # what the published code's distance adds to every difference component
BLOCK_VALUES = 1 << 20  # differences held at a time


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
    first = np.cumsum(counts) - counts
    scores = np.empty(len(trials))
    # Trials of equal segment counts are array operations together.
    shapes = counts[enrolment] * (counts.max(initial=0) + 1) + counts[test]
    for shape in np.unique(shapes):
        rows = np.flatnonzero(shapes == shape)
        left_steps, right_steps = (np.arange(counts[side[rows[0]]]) for side in (enrolment, test))
        size = max(1, BLOCK_VALUES // (len(left_steps) * len(right_steps) * units.shape[1]))
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            left = units[first[enrolment[block], None] + left_steps][:, :, None]
            right = units[first[test[block], None] + right_steps][:, None]
            scores[block] = -np.linalg.norm(left - right + DISTANCE_EPSILON, axis=-1).mean(axis=(1, 2))
    return scores
