"""Cosine similarity of two embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from sv.kaldi.trials import Trials
from sv.scoring.backends.interface import LearnsNothing, Vectors
from sv.scoring.backends.plda import PldaBackEnd
from sv.scoring.cosine import unit_rows
from sv.scoring.scorers import Side, score_trials


class UnitRows:
    """Base of the back ends whose scores are dot products of rows of unit length, which a subclass makes in `_units`."""

    reads: ClassVar[str] = "vectors"
    normalisable: ClassVar[bool] = True

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
        units = self._units(enrolment)
        return units, units if test is enrolment else self._units(test)

    def _units(self, side: Side) -> np.ndarray:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class CosineBackEnd(UnitRows, LearnsNothing):
    """Cosine similarity; after the centring and LDA of a PLDA back end if there is one."""

    name: ClassVar[str] = "cosine"

    plda: PldaBackEnd | None = None

    @classmethod
    def load(cls, folder: str | Path) -> "CosineBackEnd":
        """Read the centring and LDA that PLDA was trained after."""
        return cls(plda=PldaBackEnd.load(folder))

    def _units(self, side: Side) -> np.ndarray:
        vectors = self.plda.preprocess(side.vectors, side.names) if self.plda else side.vectors
        return unit_rows(vectors, side.names)
