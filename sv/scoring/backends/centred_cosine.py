"""Cosine similarity of two embeddings after the training embeddings' mean was subtracted, as WeSpeaker scores."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from sv.kaldi.models import read_vector_file, write_array_file
from sv.scoring.backends.cosine import UnitRows
from sv.scoring.backends.interface import NoOptions, Training, require_files
from sv.scoring.cosine import row_norms, unit_rows
from sv.scoring.scorers import Side


@dataclass(frozen=True, eq=False)
class CentredCosineBackEnd(UnitRows):
    """Cosine similarity of centred embeddings.

    Attributes
    ----------
    mean : (dim,) numpy.ndarray
        Of the training embeddings.
    """

    name: ClassVar[str] = "centred_cosine"
    files: ClassVar[tuple[str, ...]] = ("mean.vec",)  # which PLDA has, too: the same mean
    Config: ClassVar[type] = NoOptions

    mean: np.ndarray

    @classmethod
    def fit(cls, training: Training, config: NoOptions, seed: int = 0) -> "CentredCosineBackEnd":
        """Take the mean; raises ValueError naming embeddings that are zero, NaN or infinite."""
        row_norms(training.vectors, training.names)
        return cls(training.vectors.mean(axis=0, dtype=np.float64).astype(np.float32))

    def save(self, folder: str | Path) -> None:
        """Write mean.vec as Kaldi does."""
        write_array_file(Path(folder) / "mean.vec", self.mean)

    @classmethod
    def load(cls, folder: str | Path) -> "CentredCosineBackEnd":
        """Read mean.vec, ours or Kaldi's; raises as `BackEnd.load`."""
        require_files(cls, folder)
        return cls(read_vector_file(Path(folder) / "mean.vec"))

    def _units(self, side: Side) -> np.ndarray:
        if side.vectors.shape[1] != len(self.mean):
            raise ValueError(
                f"the back end is for embeddings of {len(self.mean)} dimensions, got {side.vectors.shape[1]}"
            )
        row_norms(side.vectors, side.names)  # a zero is nobody's embedding, but would pass when centred
        return unit_rows(side.vectors - self.mean, side.names)

    def __str__(self) -> str:
        return f"mean of {len(self.mean)} dimensions"
