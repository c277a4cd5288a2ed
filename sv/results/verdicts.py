"""Verdicts on differences between systems: paired tests, and their correction for the number of tests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sv.results.folder import ScoreList
from sv.results.means import averaged
from sv.results.rows import Row
from sv.scoring.bootstrap import PairedTest, paired_test

SIGNIFICANT = 0.05  # p-values below it


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """First system against another one: EER differences in points, first minus other.

    Attributes
    ----------
    other : str
    conditions : list of (Row, PairedTest)
        Per shared condition the first system's row and the test; p-values after Holm's correction.
    overall : PairedTest
        Of `sv.results.means.averaged`: of mean15, or of the mean over the noisy conditions, or over all if none is noisy.
    """

    other: str
    conditions: list[tuple[Row, PairedTest]]
    overall: PairedTest


def outcome(difference: float, p_value: float) -> Literal["better", "worse", "same"]:
    """Outcome for the first system of a test of error rates; `same` if no difference is shown."""
    return "same" if p_value >= SIGNIFICANT else "better" if difference < 0 else "worse"


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values after Holm's step-down correction for their number (Scandinavian Journal of Statistics 6, 1979)."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def verdicts(lists: Sequence[Sequence[ScoreList]]) -> list[Verdict]:
    """Paired tests of the first system against each of the others; none if it is alone.

    Parameters
    ----------
    lists : sequence of sequence of ScoreList
        Per shared condition the list of every system.
    """
    if not lists or len(lists[0]) < 2:
        return []
    drawn = [[_replicates(item, own[0].row["seed"]) for item in own] for own in lists]
    ((_, num_speakers), *_), *_ = drawn
    rows = [own[0].row for own in lists]
    _, noisy = averaged(rows)
    chosen = [i for i, row in enumerate(rows) if row in noisy] or range(len(rows))
    ours, *others = ([eers for eers, _ in own] for own in zip(*drawn))
    found = []
    for item, theirs in zip(lists[0][1:], others):
        tests = [paired_test(a, b, num_speakers) for a, b in zip(ours, theirs)]
        adjusted = holm([test.p_value for test in tests])
        means = (np.mean([eers[i] for i in chosen], axis=0) for eers in (ours, theirs))
        found.append(
            Verdict(
                other=item.system,
                conditions=[(row, replace(test, p_value=p)) for row, test, p in zip(rows, tests, adjusted)],
                overall=paired_test(*means, num_speakers),
            )
        )
    return found


def _replicates(item: ScoreList, seed: int) -> tuple[np.ndarray, int]:
    """EER in percent and its bootstrap replicates, (1 + num_replicates,), and the number of speakers drawn from."""
    curves = item.bootstrap(seed)
    return 100 * curves.eers(), curves.num_speakers
