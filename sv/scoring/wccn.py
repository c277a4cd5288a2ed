"""Within-class covariance normalisation, with shrinkage."""

from collections.abc import Sequence

import numpy as np

from sv.scoring.speakers import speaker_statistics


def train_wccn(embeddings: np.ndarray, speakers: Sequence, shrinkage: float) -> np.ndarray:
    """Fit the symmetric transform (dim, dim) after which the covariance within speakers is the identity (Hatch et al. 2006).

    Parameters
    ----------
    embeddings : (n, dim) numpy.ndarray
    speakers : sequence
        Of each row.
    shrinkage : float, at least 0
        The covariance gets so many times its mean variance in every direction: with 0 it is what was measured, with more
        the map comes nearer to a multiple of the identity.

    Raises
    ------
    ValueError
        If no speaker has two rows, or there are too few rows for the covariance to be invertible without shrinkage.
    """
    statistics = speaker_statistics(embeddings, speakers)
    dim, freedom = embeddings.shape[1], len(embeddings) - len(statistics.counts)
    if shrinkage == 0 and freedom < dim:
        raise ValueError(
            f"the covariance within speakers of {dim}-dimensional embeddings needs {len(statistics.counts) + dim} "
            f"utterances of {len(statistics.counts)} speakers, got {len(embeddings)}; or a shrinkage above 0"
        )
    variances, directions = np.linalg.eigh(statistics.scatter / freedom)
    floor = max(shrinkage, np.finfo(float).eps) * variances.mean()
    return directions / np.sqrt(np.maximum(variances, 0) + floor) @ directions.T
