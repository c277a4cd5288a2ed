"""Scores over all pairs of two utterances' segments."""

from collections.abc import Mapping

import numpy as np

from sv.kaldi.trials import Trials
from sv.scoring.cosine import row_products, trial_rows

DISTANCE_EPSILON = 1e-6  # what the published code's distance adds to every difference component
BLOCK_VALUES = 1 << 23  # differences held at a time


def _unit_segments(segments: np.ndarray) -> np.ndarray:
    segments = np.asarray(segments, dtype=np.float64)
    return segments / np.linalg.norm(segments, axis=1, keepdims=True)


def mean_cos(trials: Trials, segments: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean cosine over all pairs of segments of each trial, (num_trials,).

    Parameters
    ----------
    trials : Trials
    segments : mapping of utterance to (num_segments, dim) numpy.ndarray

    Notes
    -----
    Equal to the dot product of the means of the length-normalised segments, which is how it is computed.
    """
    utts, enrolment, test = trial_rows(trials, segments, "segment embeddings")
    means = np.stack([_unit_segments(segments[utt]).mean(axis=0) for utt in utts])
    return row_products(means, means, enrolment, test)


def neg_mean_l2(trials: Trials, segments: Mapping[str, np.ndarray]) -> np.ndarray:
    """Negative mean Euclidean distance over all pairs of length-normalised segments of each trial, (num_trials,).

    The score of the published ExU-Net evaluation, as it means it: current PyTorch reduces another axis of the same call.
    """
    utts, enrolment, test = trial_rows(trials, segments, "segment embeddings")
    units = [_unit_segments(segments[utt]) for utt in utts]
    counts = np.array([len(unit) for unit in units])
    scores = np.empty(len(trials))
    # Trials of equal segment counts are one array operation each.
    shapes = counts[enrolment] * (counts.max(initial=0) + 1) + counts[test]
    for shape in np.unique(shapes):
        rows = np.flatnonzero(shapes == shape)
        num_left, num_right = counts[enrolment[rows[0]]], counts[test[rows[0]]]
        block = max(1, BLOCK_VALUES // (num_left * num_right * units[0].shape[1]))
        for first in range(0, len(rows), block):
            some = rows[first : first + block]
            left = np.stack([units[i] for i in enrolment[some]])[:, :, None]
            right = np.stack([units[i] for i in test[some]])[:, None]
            distances = np.linalg.norm(left - right + DISTANCE_EPSILON, axis=-1)
            scores[some] = -distances.mean(axis=(1, 2))
    return scores
