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


@dataclass(frozen=True, kw_only=True)
class Replicates:
    """EERs of several systems in the conditions that they share, on the same draws of speakers.

    Attributes
    ----------
    lists : sequence of sequence of ScoreList
        Per shared condition the list of every system.
    eers : list of list of numpy.ndarray
        Per system and condition, (1 + num_replicates,) percent; the first is that of the scores themselves.
    num_speakers : int
    """

    lists: Sequence[Sequence[ScoreList]]
    eers: list[list[np.ndarray]]
    num_speakers: int

    @property
    def rows(self) -> list[Row]:
        """Row of the first system in each condition."""
        return [own[0].row for own in self.lists]

    @property
    def means(self) -> list[np.ndarray]:
        """EER of each system in `sv.results.means.averaged`, (1 + num_replicates,); over all conditions if none is noisy."""
        _, noisy = averaged(self.rows)
        chosen = [i for i, row in enumerate(self.rows) if row in noisy] or range(len(self.rows))
        return [np.mean([eers[i] for i in chosen], axis=0) for eers in self.eers]


def replicates(lists: Sequence[Sequence[ScoreList]]) -> Replicates | None:
    """Bootstrap of every system's EERs; None unless two systems share a condition.

    Parameters
    ----------
    lists : sequence of sequence of ScoreList
        Per shared condition the list of every system.
    """
    if not lists or len(lists[0]) < 2:
        return None
    drawn = [[_replicates(item, own[0].row["seed"]) for item in own] for own in lists]
    ((_, num_speakers), *_), *_ = drawn
    return Replicates(lists=lists, eers=[[eers for eers, _ in own] for own in zip(*drawn)], num_speakers=num_speakers)


def verdicts(drawn: Replicates | None, first: int = 0) -> list[Verdict]:
    """Paired tests of one system, by its place, against each of the others, in their order; none if it is alone."""
    if drawn is None:
        return []
    ours, means = drawn.eers[first], drawn.means
    found = []
    for i, theirs in enumerate(drawn.eers):
        if i == first:
            continue
        tests = [paired_test(a, b, drawn.num_speakers) for a, b in zip(ours, theirs)]
        adjusted = holm([test.p_value for test in tests])
        rows = [own[first].row for own in drawn.lists]
        found.append(
            Verdict(
                other=drawn.lists[0][i].system,
                conditions=[(row, replace(test, p_value=p)) for row, test, p in zip(rows, tests, adjusted)],
                overall=paired_test(means[first], means[i], drawn.num_speakers),
            )
        )
    return found


def winner(drawn: Replicates) -> tuple[int, list[Verdict]]:
    """Place of the system with the least mean EER, and its verdicts against the others.

    The p-values of their overall tests are after Holm's correction for the number of the others.
    """
    best = int(np.argmin([own[0] for own in drawn.means]))
    found = verdicts(drawn, best)
    adjusted = holm([verdict.overall.p_value for verdict in found])
    return best, [replace(own, overall=replace(own.overall, p_value=p)) for own, p in zip(found, adjusted)]


def _replicates(item: ScoreList, seed: int) -> tuple[np.ndarray, int]:
    """EER in percent and its bootstrap replicates, (1 + num_replicates,), and the number of speakers drawn from."""
    curves = item.bootstrap(seed)
    return 100 * curves.eers(), curves.num_speakers
