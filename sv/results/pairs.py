"""Every two systems of a recorded table, compared by the paired test."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from sv.base.layout import CLEAN
from sv.results.conditions import first_draws, is_clean
from sv.results.means import MEAN16, MUSAN, means
from sv.results.proof import key_of
from sv.results.rows import Row, bootstrap_curves
from sv.results.score_files import StoredScores
from sv.results.verdicts import holm, outcome
from sv.scoring.bootstrap import PairedTest, paired_test

LEGEND = (
    "EER of the first system minus that of the second, in points, of {backend} scores: same trials and draws of speakers for "
    "both; better, worse: the first one at the 5 % level, after Holm's correction for the number of pairs, in each column"
)
Pairs = dict[str, Any]


def pairs(systems: Sequence[Sequence[Row]], stored: Sequence[StoredScores], backend: str) -> Pairs:
    """Test every two systems on clean speech and on each mean over conditions but mean16 and those that mean15 is made of.

    Parameters
    ----------
    systems : sequence of list of Row
    stored : sequence of StoredScores
        Of each system.
    backend : str

    Returns
    -------
    dict
        backend; parts: names of what is compared; tests: per pair its systems, and per part the difference in points, its
        95 % interval and p-value, after Holm's correction for the number of pairs.
    """
    names = [rows[0]["system"] for rows in systems]
    drawn = [_replicates(rows, scores, backend) for rows, scores in zip(systems, stored)]
    parts = [part for part in drawn[0][0] if all(part in found for found, _ in drawn)]
    num_speakers = drawn[0][1]
    tests: list[dict[str, Any]] = [{"systems": list(pair)} for pair in combinations(names, 2)]
    for part in parts:
        found = [
            paired_test(first[part], second[part], num_speakers) for (first, _), (second, _) in combinations(drawn, 2)
        ]
        for record, test, p_value in zip(tests, found, holm([test.p_value for test in found])):
            record[part] = _numbers(test, p_value)
    return {"backend": backend, "parts": parts, "tests": tests}


def _numbers(test: PairedTest, p_value: float) -> list[float]:
    return [float(number) for number in (test.difference, test.low, test.high, p_value)]


def _replicates(rows: Sequence[Row], stored: StoredScores, backend: str) -> tuple[dict[str, np.ndarray], int]:
    """Per part the EER in percent and its bootstrap replicates, (1 + num_replicates,); and the number of speakers."""
    test_set = rows[0]["test_set"]
    own = [row for row in first_draws(rows) if (row["test_set"], row["backend"]) == (test_set, backend)]
    eers, num_speakers = {}, 0
    for row in own:
        listed, scores = stored.of(key_of(row))
        curves = bootstrap_curves(key_of(row)[0], listed.trials, scores, listed.speakers, row["seed"])
        eers[row["condition"]], num_speakers = 100 * curves.eers(), curves.num_speakers
        eers[row["condition"]][0] = row["eer"]  # exact, where long lists' curves are evaluated on fewer thresholds
    clean = {CLEAN: [row for row in own if is_clean(row)]}
    of_mean15 = {f"mean of {kind}" for kind in MUSAN}
    chosen = {name: part for name, part in (clean | means(own)).items() if part and name not in {MEAN16, *of_mean15}}
    return {
        name: np.mean([eers[row["condition"]] for row in part], axis=0) for name, part in chosen.items()
    }, num_speakers


def pairs_table(found: Mapping[str, Any]) -> list[list[str]]:
    """Header, and a row of cells for each pair."""
    body = [
        [" minus ".join(test["systems"]), *(_cell(*test[part]) for part in found["parts"])] for test in found["tests"]
    ]
    return [["pair", *found["parts"]], *body]


def _cell(difference: float, low: float, high: float, p_value: float) -> str:
    verdict = outcome(difference, p_value)
    return f"{difference:+.2f} [{low:+.1f}, {high:+.1f}]{'' if verdict == 'same' else f' {verdict}'}"


def pairs_note(found: Mapping[str, Any]) -> str:
    """Line for below the tables."""
    return LEGEND.format(backend=found["backend"])
