"""Score normalisation by a cohort of other speakers."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sv.base.log import get_logger

BLOCK_VALUES = 1 << 23  # of cohort scores held at a time
LEAST_SPREAD = 1e-6  # of a row's largest score; float32 embeddings give scores no better than a tenth of that


@dataclass(frozen=True, eq=False)
class CohortStatistics:
    """Mean and standard deviation of vectors' scores against a cohort, (n,) float64 numpy.ndarray each."""

    mean: np.ndarray
    std: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "CohortStatistics":
        """Those of some rows, for instance of one side of each trial."""
        return CohortStatistics(self.mean[rows], self.std[rows])


def cohort_statistics(cohort_scores: np.ndarray, top_n: int | None = None) -> CohortStatistics:
    """Mean and population standard deviation of each row's `top_n` highest scores, or of all.

    Parameters
    ----------
    cohort_scores : (n, num_cohort) numpy.ndarray
    top_n : int, optional

    Raises
    ------
    ValueError
        If `top_n` is below 2 or above the size of the cohort, or a row's scores do not vary by more than rounding.
    """
    num_cohort = cohort_scores.shape[1]
    top_n = checked_top_n(top_n, num_cohort)
    if top_n < num_cohort:
        cohort_scores = np.partition(cohort_scores, num_cohort - top_n, axis=1)[:, num_cohort - top_n :]
    mean, std = cohort_scores.mean(axis=1), cohort_scores.std(axis=1)
    if (flat := ~(std > LEAST_SPREAD * np.abs(cohort_scores).max(axis=1))).any():
        raise ValueError(
            f"{flat.sum()} of {len(mean)} utterances have the same score with the {top_n} closest of the cohort; "
            "the cohort must hold different speakers"
        )
    return CohortStatistics(mean, std)


def checked_top_n(top_n: int | None, num_cohort: int) -> int:
    """Number of cohort vectors to choose, all by default; raises ValueError if it is below 2 or there are not as many."""
    top_n = num_cohort if top_n is None else top_n
    if not 2 <= top_n <= num_cohort:
        raise ValueError(f"top-n must be in 2..{num_cohort}, the size of the cohort, got {top_n}")
    return top_n


def product_statistics(
    left: np.ndarray, cohort: np.ndarray, top_n: int | None = None, own: Mapping[int, Sequence[int]] | None = None
) -> CohortStatistics:
    """`cohort_statistics` of `left @ cohort.T`, (n, k) and (num_cohort, k), in blocks of bounded memory.

    `own` names the rows of the cohort that some rows of `left` are themselves; these take the `top_n` of the others, or all
    others if there are fewer.
    """
    own, top_n = own or {}, checked_top_n(top_n, len(cohort))
    size = max(1, BLOCK_VALUES // len(cohort))
    others = np.array([row for row in range(len(left)) if row not in own], dtype=np.int64)
    mean, std = np.empty(len(left)), np.empty(len(left))
    for first in range(0, len(others), size):
        rows = others[first : first + size]
        part = cohort_statistics(left[rows] @ cohort.T, top_n)
        mean[rows], std[rows] = part.mean, part.std
    for row, columns in own.items():
        scores = np.delete(cohort @ left[row], columns)[None]
        part = cohort_statistics(scores, min(top_n, scores.shape[1]))
        mean[row], std[row] = part.mean[0], part.std[0]
    return CohortStatistics(mean, std)


def distinct_cohort(cohort: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Drop all but the first, in byte order of the names, of equal vectors of a cohort, and log how many.

    Vectors that stand in it twice are the closest of the cohort twice, and take the spread from the scores that they are in.
    """
    first: dict[bytes, str] = {}
    copies = {}
    for name in sorted(cohort, key=str.encode):
        if (kept := first.setdefault(_content(cohort[name]), name)) != name:
            copies[name] = kept
    if copies:
        examples = ", ".join(f"{name} of {kept}" for name, kept in list(copies.items())[:3])
        get_logger("score").warning(
            "%d of the cohort's %d vectors are copies, e.g. %s; they are left out", len(copies), len(cohort), examples
        )
    return {name: vector for name, vector in cohort.items() if name not in copies}


def own_in_cohort(names: Sequence[str], vectors: np.ndarray, cohort: Mapping[str, np.ndarray]) -> dict[int, list[int]]:
    """Rows of the cohort that have the name or the very vector of a trial side, by the side's row; logs how many.

    Parameters
    ----------
    names : sequence of str
    vectors : (n, dim) numpy.ndarray
        Of one side of the trials.
    cohort : mapping of str to (dim,) numpy.ndarray
        Of different vectors.
    """
    columns = {name: column for column, name in enumerate(cohort)}
    contents = {_content(vector): column for column, vector in enumerate(cohort.values())}
    found = {}
    for row, (name, vector) in enumerate(zip(names, vectors, strict=True)):
        both = {columns.get(name), contents.get(_content(vector))} - {None}
        if both:
            found[row] = sorted(both)
    if found:
        get_logger("score").warning(
            "%d of %d vectors of the trials are in the cohort themselves, e.g. %s; none is compared with itself",
            len(found), len(names), ", ".join(names[row] for row in list(found)[:3]),
        )  # fmt: skip
    return found


def _content(vector: np.ndarray) -> bytes:
    return (np.asarray(vector, dtype="<f4") + np.float32(0)).tobytes()  # + 0: no minus sign before zero


def z_norm(scores: np.ndarray, enrolment: CohortStatistics) -> np.ndarray:
    """Normalise scores (num_trials,) by the enrolment side's scores with a cohort of test utterances."""
    return (scores - enrolment.mean) / enrolment.std


def t_norm(scores: np.ndarray, test: CohortStatistics) -> np.ndarray:
    """Normalise scores (num_trials,) by the test side's scores with a cohort of enrolled speakers."""
    return (scores - test.mean) / test.std


def s_norm(scores: np.ndarray, enrolment: CohortStatistics, test: CohortStatistics) -> np.ndarray:
    """Mean of z- and t-norm, (num_trials,); over each side's highest cohort scores alone it is adaptive s-norm."""
    return 0.5 * (z_norm(scores, enrolment) + t_norm(scores, test))


def as_norm(
    scores: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray],
    enrolment_cohort: np.ndarray,
    test_cohort: np.ndarray,
    top_n: int = 300,
) -> np.ndarray:
    """Adaptive s-norm: each side's statistics are those of its own `top_n` highest cohort scores.

    Parameters
    ----------
    scores : (num_trials,) numpy.ndarray
    rows : two (num_trials,) int numpy.ndarray
        Row of each trial's enrolment and test side in the arrays of cohort scores.
    enrolment_cohort, test_cohort : (num_enrolment, num_cohort) and (num_test, num_cohort) numpy.ndarray
        Scores with the cohort, by the scorer that made `scores`.
    top_n : int

    Raises
    ------
    ValueError
        As `cohort_statistics`.

    Notes
    -----
    Matějka et al. 2017, "Analysis of score normalization in multilingual speaker recognition", AS-norm1: either side
    chooses its own cohort. Standard deviations divide by `top_n`, as WeSpeaker's do; SpeechBrain's divide by one less.
    """
    enrolment, test = cohort_statistics(enrolment_cohort, top_n), cohort_statistics(test_cohort, top_n)
    return s_norm(scores, enrolment[rows[0]], test[rows[1]])


def cohort_id(cohort: Mapping[str, np.ndarray]) -> str:
    """Hexadecimal SHA-256 of a cohort's names and float32 vectors, in byte order of the names."""
    digest = hashlib.sha256()
    for part in _parts(cohort):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _parts(cohort: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    for name in sorted(cohort, key=str.encode):
        yield name.encode()
        yield np.asarray(cohort[name], dtype="<f4").tobytes()
