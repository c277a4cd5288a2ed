"""Back ends over all pairs of two utterances' segments."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from sv.kaldi.trials import Trials
from sv.scoring.backends.interface import LearnsNothing, Vectors
from sv.scoring.pairwise import mean_cos, neg_mean_l2


class MeanCosBackEnd(LearnsNothing):
    """Mean cosine over all pairs of segments."""

    name: ClassVar[str] = "mean_cos"
    reads: ClassVar[str] = "segments"

    def score(
        self,
        trials: Trials,
        enrolment: Vectors,
        test: Vectors | None = None,
        *,
        num_utts: Mapping[str, int] | None = None,
    ) -> np.ndarray:
        """As `BackEnd`."""
        return mean_cos(trials, enrolment, test)


class NegMeanL2BackEnd(LearnsNothing):
    """Negative mean Euclidean distance over all pairs of length-normalised segments."""

    name: ClassVar[str] = "neg_mean_l2"
    reads: ClassVar[str] = "segments"

    def score(
        self,
        trials: Trials,
        enrolment: Vectors,
        test: Vectors | None = None,
        *,
        num_utts: Mapping[str, int] | None = None,
    ) -> np.ndarray:
        """As `BackEnd`."""
        return neg_mean_l2(trials, enrolment, test)
