"""Cosine scores of whole trial lists."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import numpy as np

from sv.kaldi.trials import Trials

BLOCK_VALUES = 1 << 18  # of gathered embeddings held at a time; a few blocks fit into a processor's cache
MAX_PRODUCTS = 1 << 25  # of all rows with all rows, held at a time
PRODUCTS_PER_TRIAL = 32  # that a matrix product computes in the time of gathering one trial's two rows


def rows_of(known: Mapping[str, object], what: str, *sides: Sequence[str]) -> tuple[list[str], list[np.ndarray]]:
    """Distinct utterances of the sides of a trial list, and the row of each side's utterances among them.

    Raises
    ------
    KeyError
        If an utterance is not `known`: the count and the first three.
    """
    row: defaultdict[str, int] = defaultdict(count().__next__)  # numbers utterances as they come
    rows = [np.fromiter(map(row.__getitem__, side), dtype=np.int64, count=len(side)) for side in sides]
    if missing := [utt for utt in row if utt not in known]:
        raise KeyError(f"{len(missing)} of {len(row)} trial utterances have no {what}, e.g. {sorted(missing)[:3]}")
    return list(row), rows


def sides_of(
    trials: Trials, what: str, enrolment: Mapping[str, object], test: Mapping[str, object] | None = None
) -> tuple[tuple[list[str], np.ndarray], tuple[list[str], np.ndarray]]:
    """Distinct utterances of the enrolment and of the test side, and the row of each trial's utterance among them.

    Without `test`, `enrolment` holds both sides, and the utterances of both are one list. Raises KeyError as `rows_of`.
    """
    if test is None:
        utts, (left_rows, right_rows) = rows_of(enrolment, what, trials.enrolment, trials.test)
        return (utts, left_rows), (utts, right_rows)
    enrolled, (left_rows,) = rows_of(enrolment, f"enrolment {what}", trials.enrolment)
    tested, (right_rows,) = rows_of(test, f"test {what}", trials.test)
    return (enrolled, left_rows), (tested, right_rows)


def row_norms(vectors: np.ndarray, names: Iterable[str]) -> np.ndarray:
    """Lengths of the rows of (n, dim), (n,) float64.

    Raises
    ------
    ValueError
        Naming the first rows without a direction: zero, NaN or infinite.
    """
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    if not ((norms > 0) & np.isfinite(norms)).all():
        bad = [name for name, norm in zip(names, norms) if not 0 < norm < np.inf]
        raise ValueError(f"{len(bad)} embeddings are zero, NaN or infinite, e.g. {bad[:3]}")
    return norms


def unit_rows(vectors: np.ndarray, names: Iterable[str]) -> np.ndarray:
    """Length-normalised rows of (n, dim), float64; raises ValueError as `row_norms`."""
    return vectors / row_norms(vectors, names)[:, None]


def row_products(left: np.ndarray, right: np.ndarray, left_rows: np.ndarray, right_rows: np.ndarray) -> np.ndarray:
    """Dot products of rows of two (n, dim) arrays, (num_trials,), in bounded memory.

    A list that pairs much of the rows is looked up in the product of all with all; another is gathered in blocks.
    """
    if len(left) * len(right) <= min(MAX_PRODUCTS, PRODUCTS_PER_TRIAL * len(left_rows)):
        return (left @ right.T).ravel().take(left_rows * len(right) + right_rows)
    scores = np.empty(len(left_rows), dtype=np.result_type(left, right))
    size = max(1, BLOCK_VALUES // left.shape[1])
    for first in range(0, len(left_rows), size):
        block = slice(first, first + size)
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
    ValueError
        If an embedding is zero, NaN or infinite.
    """
    (enrolled, left_rows), (tested, right_rows) = sides_of(trials, "embedding", embeddings, test_embeddings)
    left = right = unit_rows(np.stack([embeddings[utt] for utt in enrolled]), enrolled)
    if test_embeddings is not None:
        right = unit_rows(np.stack([test_embeddings[utt] for utt in tested]), tested)
    return row_products(left, right, left_rows, right_rows)
