"""The back end of Kaldi's voxceleb v2 recipe: centring, LDA, length normalisation, PLDA."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.base.log import get_logger
from sv.kaldi.models import read_matrix_file, read_plda, read_vector_file, write_array_file, write_plda
from sv.kaldi.scp import DataDirError
from sv.scoring.cosine import row_norms
from sv.scoring.lda import principal_axes, train_lda
from sv.scoring.plda import Plda, train_plda


@dataclass(frozen=True, eq=False)
class Backend:
    """What takes embeddings to scores.

    Attributes
    ----------
    mean : (input_dim,) numpy.ndarray
        Of the training embeddings.
    transform : (dim, input_dim) or (dim, input_dim + 1) numpy.ndarray
        LDA; a last column of its own is the offset.
    plda : Plda
        Of transformed vectors of length sqrt(dim).
    """

    mean: np.ndarray
    transform: np.ndarray
    plda: Plda

    def preprocess(self, vectors: np.ndarray, names: Iterable[str]) -> np.ndarray:
        """Centre, transform and length-normalise (n, input_dim) embeddings: (n, dim) float64.

        Raises
        ------
        ValueError
            If they are of another dimension, or naming those that are zero, NaN or infinite.
        """
        if vectors.shape[1] != len(self.mean):
            raise ValueError(f"the back end is for embeddings of {len(self.mean)} dimensions, got {vectors.shape[1]}")
        return apply_transform(self.transform, vectors - self.mean, names)


def apply_transform(transform: np.ndarray, centred: np.ndarray, names: Iterable[str]) -> np.ndarray:
    """Transform (n, input_dim) vectors, and scale each to length sqrt(dim): (n, dim) float64."""
    input_dim = centred.shape[1]
    transformed = centred @ transform[:, :input_dim].T.astype(np.float64)
    transformed += transform[:, input_dim:].sum(axis=1)
    transformed *= (np.sqrt(len(transform)) / row_norms(transformed, names))[:, None]
    return transformed


def train_backend(vectors: np.ndarray, speakers: Sequence[str], names: Sequence[str], lda_dim: int = 200) -> Backend:
    """Train mean, LDA and PLDA, in this order, as Kaldi's voxceleb v2 does.

    Parameters
    ----------
    vectors : (num_utts, dim) float32 numpy.ndarray
    speakers, names : (num_utts,) sequence of str
    lda_dim : int
        Dimensions that LDA keeps; fewer, and the log says so, where the data support only fewer.

    Raises
    ------
    ValueError
        Naming embeddings that are zero, NaN or infinite; if there are fewer than two speakers, or none has two utterances.
    """
    if (num_speakers := len(set(speakers))) < 2:
        raise ValueError(f"LDA and PLDA need the embeddings of two speakers at least, got {num_speakers}")
    row_norms(vectors, names)  # a NaN would spread to every number of the model
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)  # as Kaldi stores it
    centred = vectors - mean
    transform = _train_transform(centred, speakers, lda_dim).astype(np.float32)
    return Backend(mean, transform, train_plda(apply_transform(transform, centred, names), speakers))


def _train_transform(centred: np.ndarray, speakers: Sequence[str], lda_dim: int) -> np.ndarray:
    """LDA, on principal components where there are fewer utterances than dimensions: (dim, input_dim + 1) float64."""
    log, (num_utts, input_dim), num_speakers = get_logger("backend"), centred.shape, len(set(speakers))
    # Kaldi refuses fewer utterances than dimensions. Belhumeur et al. 1997 ("Fisherfaces") keep as many principal components
    # as the covariance within speakers has degrees of freedom; of half as many, it can be estimated rather than inverted.
    num_axes = input_dim if num_utts >= input_dim else max(1, (num_utts - num_speakers) // 2)
    dim = min(lda_dim, num_axes, num_speakers - 1)
    if dim < lda_dim:
        log.warning(
            "LDA to %d dimensions instead of %d: %d utterances of %d speakers in %d dimensions support no more",
            dim, lda_dim, num_utts, num_speakers, input_dim,
        )  # fmt: skip
    if num_axes == input_dim:
        return train_lda(centred, speakers, dim)
    log.warning(
        "%d principal components before LDA: there are only %d utterances of %d dimensions; train on more if you can",
        num_axes, num_utts, input_dim,
    )  # fmt: skip
    axes = principal_axes(centred, num_axes)
    lda = train_lda(centred @ axes.T, speakers, dim)
    return np.column_stack([lda[:, :-1] @ axes, lda[:, -1]])


def write_backend(folder: str | Path, backend: Backend, text: bool = False) -> None:
    """Write mean.vec, transform.mat and plda as Kaldi does, each whole or not at all."""
    folder, plda = Path(folder), backend.plda
    write_array_file(folder / "mean.vec", backend.mean, text)
    write_array_file(folder / "transform.mat", backend.transform, text)
    write_plda(folder / "plda", plda.mean, plda.transform, plda.psi, text)


def read_backend(folder: str | Path) -> Backend:
    """Read mean.vec, transform.mat and plda, ours or Kaldi's, binary or text.

    Raises
    ------
    DataDirError
        Naming the file that is not what it should be, or does not fit the others.
    FileNotFoundError
        If one of them is missing.
    """
    folder = Path(folder)
    mean, transform = read_vector_file(folder / "mean.vec"), read_matrix_file(folder / "transform.mat")
    try:
        plda = Plda(*read_plda(folder / "plda"))
    except ValueError as error:
        raise error if isinstance(error, DataDirError) else DataDirError(f"{folder}/plda: {error}") from error
    if transform.shape[1] - len(mean) not in (0, 1) or len(transform) != len(plda.psi):
        raise DataDirError(
            f"{folder}: mean.vec ({len(mean)}), transform.mat {transform.shape} and plda ({len(plda.psi)}) do not fit together"
        )
    return Backend(mean, transform, plda)
