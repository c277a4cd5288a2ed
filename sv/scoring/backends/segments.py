"""Back ends over all pairs of two utterances' segments."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from sv.kaldi.trials import Trials
from sv.scoring.backends.interface import LearnsNothing, Vectors
from sv.scoring.pairwise import mean_cos, neg_mean_l2


class SegmentBackEnd(LearnsNothing):
    """Base of the back ends that are a function of the segments alone.

    Attributes
    ----------
    pairwise : class variable
        (trials, enrolment, test) -> scores (num_trials,); see `sv.scoring.pairwise`.
    """

    reads: ClassVar[str] = "segments"
    pairwise: ClassVar[Callable[..., np.ndarray]]

    def score(
        self,
        trials: Trials,
        enrolment: Vectors,
        test: Vectors | None = None,
        *,
        num_utts: Mapping[str, int] | None = None,
    ) -> np.ndarray:
        """As `BackEnd`."""
        return self.pairwise(trials, enrolment, test)


class MeanCosBackEnd(SegmentBackEnd):
    """Mean cosine over all pairs of segments."""

    name: ClassVar[str] = "mean_cos"
    pairwise = staticmethod(mean_cos)


class NegMeanL2BackEnd(SegmentBackEnd):
    """Negative mean Euclidean distance over all pairs of length-normalised segments."""

    name: ClassVar[str] = "neg_mean_l2"
    pairwise = staticmethod(neg_mean_l2)
