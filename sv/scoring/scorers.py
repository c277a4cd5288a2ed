"""Scorers, and whole trial lists scored with them.

A scorer turns the vectors of both sides into rows whose dot products are the scores, so that trial lists and cohorts are
products of arrays for each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sv.kaldi.trials import Trials
from sv.scoring.cosine import row_products, sides_of
from sv.scoring.score_norm import checked_top_n, distinct_cohort, own_in_cohort, product_statistics, s_norm

Vectors = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Side:
    """Distinct utterances (or speakers) of one side of a trial list.

    Attributes
    ----------
    names : list of str
    vectors : (n, dim) numpy.ndarray
    num_utts : (n,) int numpy.ndarray
        How many utterances each vector is the average of.
    """

    names: list[str]
    vectors: np.ndarray
    num_utts: np.ndarray


class Scorer(Protocol):
    """Turns two sides into (n, k) and (m, k) arrays whose rows' dot products are the scores.

    A score is symmetric where each vector is one utterance, as it is where both sides are the same object.
    """

    def __call__(self, enrolment: Side, test: Side) -> tuple[np.ndarray, np.ndarray]: ...


def score_trials(
    scorer: Scorer,
    trials: Trials,
    enrolment: Vectors,
    test: Vectors | None = None,
    *,
    num_utts: Mapping[str, int] | None = None,
    cohort: Vectors | None = None,
    top_n: int | None = None,
) -> np.ndarray:
    """Scores of a trial list, in trial order, (num_trials,) float64.

    Parameters
    ----------
    scorer : Scorer
    trials : Trials
    enrolment, test : mapping of str to (dim,) numpy.ndarray
        Embeddings of either side; without `test`, `enrolment` holds both.
    num_utts : mapping of str to int, optional
        How many utterances each enrolment vector is the average of; 1 each by default.
    cohort : mapping of str to (dim,) numpy.ndarray, optional
        Other speakers: scores are normalised by adaptive s-norm, each cohort vector counting as one utterance. Copies are left
        out, and so is, for a side of a trial, what has its name or is its very vector; the log says so.
    top_n : int, optional
        How many of the cohort each side chooses; all by default, which is s-norm.

    Raises
    ------
    KeyError
        If a trial's utterance has no embedding, or an enrolment vector no count.
    ValueError
        If an embedding is zero, NaN or infinite; if `top_n` and the cohort do not fit.
    """
    if test is None and num_utts is not None:
        test = enrolment  # of one utterance each, whatever the enrolment side averages
    cohort = None if cohort is None else distinct_cohort(cohort)
    (names, left_rows), (test_names, right_rows) = sides_of(trials, "embedding", enrolment, test)
    enrolled = tested = _side(enrolment, names, num_utts)
    if test is not None:
        tested = _side(test, test_names)
    others = _side(cohort, list(cohort)) if cohort is not None else enrolled
    _check_dimensions(enrolment=enrolled, test=tested, cohort=others)
    scores = row_products(*scorer(enrolled, tested), left_rows, right_rows)
    if cohort is None:
        return scores
    checked_top_n(top_n, len(cohort))
    left = product_statistics(*scorer(enrolled, others), top_n, own_in_cohort(names, enrolled.vectors, cohort))
    right = left
    if tested is not enrolled:
        own = own_in_cohort(test_names, tested.vectors, cohort)
        right = product_statistics(*scorer(others, tested)[::-1], top_n, own)
    return s_norm(scores, left[left_rows], right[right_rows])


def _side(vectors: Vectors, names: list[str], num_utts: Mapping[str, int] | None = None) -> Side:
    if not names:
        raise ValueError("there is nothing to score: the trial list or the cohort is empty")
    counts = dict.fromkeys(names, 1) if num_utts is None else num_utts
    if missing := [name for name in names if name not in counts]:
        raise KeyError(f"{len(missing)} of {len(names)} enrolled have no number of utterances, e.g. {missing[:3]}")
    rows = np.stack([vectors[name] for name in names])
    return Side(names, rows, np.array([counts[name] for name in names], dtype=np.int64))


def _check_dimensions(**sides: Side) -> None:
    dims = {what: side.vectors.shape[1] for what, side in sides.items()}
    if len(set(dims.values())) > 1:
        raise ValueError(f"embeddings differ in dimension: {', '.join(f'{what} {dim}' for what, dim in dims.items())}")
