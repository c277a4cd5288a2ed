"""Each speaker's mean embedding, and the scatter around those."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sv.kaldi.scp import byte_order, invert

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


def speaker_statistics(vectors: np.ndarray, speakers: Sequence) -> SpeakerStatistics:
    """Means, counts and pooled scatter of (num_utts, dim) vectors with one speaker label per vector.

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


def speaker_means(vectors: Mapping[str, np.ndarray], utt2spk: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Mean of each speaker's embeddings, as Kaldi's ivector-mean computes it; speakers in byte order.

    Parameters
    ----------
    vectors : mapping of utterance to (dim,) numpy.ndarray
    utt2spk : mapping of utterance to speaker
        Its utterances, which must have a vector, are averaged.
    """
    spk2utt = invert(utt2spk)
    return {
        speaker: np.mean([vectors[utt] for utt in spk2utt[speaker]], axis=0)
        for speaker in sorted(spk2utt, key=byte_order)
    }
