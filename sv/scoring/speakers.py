"""What LDA and PLDA need to know of a training set: each speaker's mean, and the scatter around those."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BLOCK_ROWS = 1 << 14  # made float64 at a time


@dataclass(frozen=True, eq=False)
class SpeakerStatistics:
    """Sufficient statistics of labelled embeddings.

    Attributes
    ----------
    means : (num_speakers, dim) float64 numpy.ndarray
    counts : (num_speakers,) int64 numpy.ndarray
        Utterances of each speaker.
    scatter : (dim, dim) float64 numpy.ndarray
        Sum over all utterances of the outer product of their difference from the speaker's mean.
    """

    means: np.ndarray
    counts: np.ndarray
    scatter: np.ndarray

    @property
    def num_utts(self) -> int:
        """Utterances of all speakers."""
        return int(self.counts.sum())


def speaker_statistics(vectors: np.ndarray, speakers: Sequence) -> SpeakerStatistics:
    """Means, counts and pooled scatter of (num_utts, dim) vectors with a speaker label each.

    Raises
    ------
    ValueError
        If there are not as many labels as vectors, or no speaker has two utterances.
    """
    if len(vectors) != len(speakers):
        raise ValueError(f"there are {len(vectors)} embeddings but {len(speakers)} speaker labels")
    _, index, counts = np.unique(np.asarray(speakers), return_inverse=True, return_counts=True)
    if not (counts > 1).any():
        raise ValueError("no speaker has two utterances, so the variability within speakers cannot be estimated")
    by_speaker = np.argsort(index, kind="stable")
    sums = np.add.reduceat(np.asarray(vectors)[by_speaker], np.cumsum(counts) - counts, axis=0, dtype=np.float64)
    means = sums / counts[:, None]
    scatter = np.zeros((means.shape[1],) * 2)
    for first in range(0, len(vectors), BLOCK_ROWS):
        block = slice(first, first + BLOCK_ROWS)
        differences = vectors[block] - means[index[block]]
        scatter += differences.T @ differences
    return SpeakerStatistics(means, counts, scatter)
