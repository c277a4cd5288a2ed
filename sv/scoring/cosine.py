"""Cosine scores of whole trial lists."""

from collections.abc import Mapping

import numpy as np

from sv.kaldi.trials import Trials

BLOCK = 1 << 16  # trials whose embeddings are gathered at a time


def trial_rows(trials: Trials, known: Mapping[str, object], what: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Distinct utterances of a trial list, sorted, and the row of each trial's two sides among them.

    Raises
    ------
    KeyError
        If an utterance is not `known`: the count and the first three.
    """
    utts = sorted({*trials.enrolment, *trials.test})
    if missing := [utt for utt in utts if utt not in known]:
        raise KeyError(f"{len(missing)} of {len(utts)} trial utterances have no {what}, e.g. {missing[:3]}")
    row = {utt: i for i, utt in enumerate(utts)}
    enrolment = np.fromiter((row[utt] for utt in trials.enrolment), dtype=np.int64, count=len(trials))
    test = np.fromiter((row[utt] for utt in trials.test), dtype=np.int64, count=len(trials))
    return utts, enrolment, test


def row_products(left: np.ndarray, right: np.ndarray, left_rows: np.ndarray, right_rows: np.ndarray) -> np.ndarray:
    """Dot products of rows of two (n, dim) arrays, (num_trials,), in blocks of bounded memory."""
    scores = np.empty(len(left_rows), dtype=np.result_type(left, right))
    for first in range(0, len(left_rows), BLOCK):
        block = slice(first, first + BLOCK)
        np.einsum("ij,ij->i", left[left_rows[block]], right[right_rows[block]], out=scores[block])
    return scores


def score_cosine(
    trials: Trials, embeddings: Mapping[str, np.ndarray], test_embeddings: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Cosine similarity of each trial, in trial order, (num_trials,) float64.

    Parameters
    ----------
    trials : Trials
    embeddings : mapping of utterance to (dim,) numpy.ndarray
        Of the enrolment side, and of the test side unless that has its own.
    test_embeddings : mapping, optional

    Raises
    ------
    KeyError
        If a trial's utterance has no embedding.
    """
    if test_embeddings is not None:
        return _score_two_sides(trials, embeddings, test_embeddings)
    utts, enrolment, test = trial_rows(trials, embeddings, "embedding")
    unit = _unit_rows([embeddings[utt] for utt in utts])
    return row_products(unit, unit, enrolment, test)


def _score_two_sides(
    trials: Trials, enrolled: Mapping[str, np.ndarray], tested: Mapping[str, np.ndarray]
) -> np.ndarray:
    sides = []
    for keys, embeddings, side in ((trials.enrolment, enrolled, "enrolment"), (trials.test, tested, "test")):
        one_side = Trials(keys, keys, trials.is_target)
        utts, rows, _ = trial_rows(one_side, embeddings, f"{side} embedding")
        sides.append((_unit_rows([embeddings[utt] for utt in utts]), rows))
    (left, left_rows), (right, right_rows) = sides
    return row_products(left, right, left_rows, right_rows)


def _unit_rows(vectors: list[np.ndarray]) -> np.ndarray:
    rows = np.stack(vectors).astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
