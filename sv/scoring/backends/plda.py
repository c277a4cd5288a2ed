"""The back end of Kaldi's voxceleb v2 recipe: centring, LDA, length normalisation, PLDA."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from sv.base.log import get_logger
from sv.kaldi.models import read_matrix_file, read_plda, read_vector_file, write_array_file, write_plda
from sv.kaldi.scp import DataDirError, naming
from sv.kaldi.trials import Trials
from sv.scoring.backends.interface import Training, Vectors, require_files
from sv.scoring.cosine import row_norms
from sv.scoring.lda import principal_axes, train_lda
from sv.scoring.plda import LengthNorm, Plda, adapt_plda, llr_sides, project, smooth_plda, train_plda
from sv.scoring.scorers import Side, score_trials


@dataclass(frozen=True, kw_only=True)
class PldaConfig:
    """Options of training.

    Attributes
    ----------
    lda_dim : int
        Dimensions that LDA keeps; fewer, and the log says so, where the data support only fewer.
    within_scale, between_scale : float
        Shares of the excess variance of embeddings of another domain, if there are any; see `adapt_plda`.
    text : bool
        Save in Kaldi's text format instead of its binary.

    Raises
    ------
    ValueError
        If `lda_dim` is not positive.
    """

    lda_dim: int = 200
    within_scale: float = 0.3
    between_scale: float = 0.7
    text: bool = False

    def __post_init__(self) -> None:
        if self.lda_dim < 1:
            raise ValueError(f"lda_dim must be positive, got {self.lda_dim}")


@dataclass(frozen=True, eq=False)
class PldaBackEnd:
    """Log-likelihood ratio of two-covariance PLDA on centred, LDA-transformed embeddings, as Kaldi's programs give it.

    Attributes
    ----------
    mean : (input_dim,) numpy.ndarray
        Of the training embeddings.
    transform : (dim, input_dim) or (dim, input_dim + 1) numpy.ndarray
        LDA; a last column of its own is the offset.
    plda : Plda
        Of transformed vectors of length sqrt(dim).
    length_norm : "expected", "simple" or "none"
        In scoring, see `sv.scoring.plda.project`; not saved.
    smoothing : float
        In scoring, see `sv.scoring.plda.smooth_plda`; not saved.
    text : bool
        Save in Kaldi's text format instead of its binary.
    """

    name: ClassVar[str] = "plda"
    reads: ClassVar[str] = "vectors"
    normalisable: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = ("plda", "mean.vec", "transform.mat")
    Config: ClassVar[type] = PldaConfig

    mean: np.ndarray
    transform: np.ndarray
    plda: Plda
    length_norm: LengthNorm = "expected"
    smoothing: float = 0.0
    text: bool = False

    @classmethod
    def fit(cls, training: Training, config: PldaConfig, seed: int = 0) -> "PldaBackEnd":
        """Train mean, LDA and PLDA, in this order, as Kaldi's voxceleb v2 does; adapt to unlabelled embeddings if there are any.

        Raises
        ------
        ValueError
            Naming embeddings that are zero, NaN or infinite; if there are fewer than two speakers, or none has two
            utterances.
        """
        vectors, speakers, names = training.vectors, training.speakers, training.names
        if (num_speakers := len(set(speakers))) < 2:
            raise ValueError(f"LDA and PLDA need the embeddings of two speakers at least, got {num_speakers}")
        row_norms(vectors, names)  # a NaN would spread to every number of the model
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)  # as Kaldi stores it
        centred = vectors - mean
        transform = _train_transform(centred, speakers, config.lda_dim).astype(np.float32)
        plda = train_plda(apply_transform(transform, centred, names), speakers)
        fitted = cls(mean, transform, plda, text=config.text)
        if training.unlabelled is None:
            return fitted
        with naming(training.unlabelled_scp):
            return fitted.adapted(training.unlabelled, config)

    def adapted(self, unlabelled: Vectors, config: PldaConfig) -> "PldaBackEnd":
        """Adapt PLDA to embeddings of another domain, a mapping to (input_dim,); raises ValueError as `preprocess`."""
        prepared = self.preprocess(np.stack(list(unlabelled.values())), unlabelled)
        shares = {"within_scale": config.within_scale, "between_scale": config.between_scale}
        return replace(self, plda=adapt_plda(self.plda, prepared, **shares))

    def save(self, folder: str | Path) -> None:
        """Write mean.vec, transform.mat and plda as Kaldi does, each whole or not at all."""
        folder, plda = Path(folder), self.plda
        write_array_file(folder / "mean.vec", self.mean, self.text)
        write_array_file(folder / "transform.mat", self.transform, self.text)
        write_plda(folder / "plda", plda.mean, plda.transform, plda.psi, self.text)

    @classmethod
    def load(cls, folder: str | Path) -> "PldaBackEnd":
        """Read mean.vec, transform.mat and plda, ours or Kaldi's, binary or text.

        Raises
        ------
        DataDirError
            Naming the file that is not what it should be, or does not fit the others.
        FileNotFoundError
            If one of them is missing.
        """
        require_files(cls, folder)
        folder = Path(folder)
        mean, transform = read_vector_file(folder / "mean.vec"), read_matrix_file(folder / "transform.mat")
        with naming(folder / "plda"):
            plda = Plda(*read_plda(folder / "plda"))
        if transform.shape[1] - len(mean) not in (0, 1) or len(transform) != len(plda.psi):
            raise DataDirError(
                f"{folder}: mean.vec ({len(mean)}), transform.mat {transform.shape} and plda ({len(plda.psi)}) do not fit together"
            )
        return cls(mean, transform, plda)

    def score(
        self,
        trials: Trials,
        enrolment: Vectors,
        test: Vectors | None = None,
        *,
        num_utts: Mapping[str, int] | None = None,
    ) -> np.ndarray:
        """As `BackEnd`."""
        return score_trials(self, trials, enrolment, test, num_utts=num_utts)

    def __call__(self, enrolment: Side, test: Side) -> tuple[np.ndarray, np.ndarray]:
        """As `Scorer`."""
        plda = smooth_plda(self.plda, self.smoothing)
        enrolled = self._project(plda, enrolment, enrolment.num_utts)
        tested = enrolled if test is enrolment else self._project(plda, test, 1)
        return llr_sides(plda, enrolled, enrolment.num_utts, tested)

    def _project(self, plda: Plda, side: Side, num_utts: np.ndarray | int) -> np.ndarray:
        return project(plda, self.preprocess(side.vectors, side.names), num_utts, self.length_norm)

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

    def __str__(self) -> str:
        return f"{len(self.mean)} dimensions, {len(self.plda.psi)} after LDA"


def apply_transform(transform: np.ndarray, centred: np.ndarray, names: Iterable[str]) -> np.ndarray:
    """Transform (n, input_dim) vectors, and scale each to length sqrt(dim): (n, dim) float64."""
    input_dim = centred.shape[1]
    transformed = centred @ transform[:, :input_dim].T.astype(np.float64)
    transformed += transform[:, input_dim:].sum(axis=1)
    transformed *= (np.sqrt(len(transform)) / row_norms(transformed, names))[:, None]
    return transformed


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
