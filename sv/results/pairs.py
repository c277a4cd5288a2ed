"""Systems of a recorded table: error rates on clean speech and on means with their intervals, and tests of every two."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import stdev
from typing import Any

import numpy as np

from sv.base.layout import CLEAN
from sv.results.comparison import Comparison
from sv.results.conditions import first_draws, is_clean
from sv.results.draws import Spread, spreads
from sv.results.means import MEAN16, OF_MEAN15, is_far, means
from sv.results.proof import key_of
from sv.results.rows import Row, bootstrap_curves
from sv.results.score_files import StoredScores
from sv.results.verdicts import holm, outcome
from sv.scoring.bootstrap import PairedTest, interval, paired_test

RATES_LEGEND = (
    "system, clean, means: EER in percent of {backend} scores [its 95 % interval over speakers] \u00b1 the standard deviation over "
    "draws, where there are several"
)
LEGEND = (
    "EER of the first system minus that of the second, in points, of {backend} scores: same trials and draws of speakers for "
    "both; better, worse: the first one at the 5 % level, after Holm's correction for the number of pairs, in each column"
)
Pairs = dict[str, Any]


def pairs(systems: Sequence[Sequence[Row]], stored: Sequence[StoredScores], backend: str) -> Pairs:
    """Error rates on clean speech and on each mean over conditions, and a test of every two systems on each.

    Kinds of noise that a wider mean is over, mean15 or that of far conditions, are left out.

    Parameters
    ----------
    systems : sequence of list of Row
    stored : sequence of StoredScores
        Of each system.
    backend : str

    Returns
    -------
    dict
        backend; rates: per system and part its EER in percent and 95 % interval; parts: names of what is tested, without
        mean16; tests: per pair its systems, and per part the difference in points, its 95 % interval and p-value, after
        Holm's correction for the number of pairs.
    """
    names = [rows[0]["system"] for rows in systems]
    drawn = [_replicates(rows, scores, backend) for rows, scores in zip(systems, stored)]
    shared = [part for part in drawn[0][0] if all(part in found for found, _ in drawn)]
    parts = [part for part in shared if part != MEAN16]
    num_speakers, num_target = drawn[0][1], systems[0][0]["num_target"]
    rates = {
        name: {part: _rate(found[part], num_speakers, num_target) for part in shared}
        for name, (found, _) in zip(names, drawn)
    }
    tests: list[dict[str, Any]] = [{"systems": list(pair)} for pair in combinations(names, 2)]
    for part in parts:
        found = [
            paired_test(first[part], second[part], num_speakers) for (first, _), (second, _) in combinations(drawn, 2)
        ]
        for record, test, p_value in zip(tests, found, holm([test.p_value for test in found])):
            record[part] = _numbers(test, p_value)
    return {"backend": backend, "rates": rates, "parts": parts, "tests": tests}


def _rate(eers: np.ndarray, num_speakers: int, num_target: int) -> list[float]:
    return [float(eers[0]), *(100 * bound for bound in interval(eers / 100, num_speakers, num_target))]


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
    return {
        name: np.mean([eers[row["condition"]] for row in part], axis=0) for name, part in _parts(own).items()
    }, num_speakers


def _parts(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Clean speech and the means that no wider one is over, with their rows."""
    found = means(rows)
    distant = [name for name in found if is_far(name.removeprefix("mean of "))]
    inner = {*OF_MEAN15, *(distant if len(distant) > 1 else [])}
    clean = {CLEAN: [row for row in rows if is_clean(row)]}
    return {name: own for name, own in (clean | found).items() if own and name not in inner}


def rates_table(found: Mapping[str, Any], comparison: Comparison) -> list[list[str]]:
    """Header, and a row of cells for each system; spreads over draws are those of the comparison."""
    columns = zip(*comparison.conditions, *comparison.draws)
    over_draws = {name: spreads([row for row in rows if row]) for name, rows in zip(comparison.systems, columns)}
    body = [
        [name, *(_rate_cell(rate, over_draws[name].get(part)) for part, rate in rates.items())]
        for name, rates in found["rates"].items()
    ]
    return [["system", *next(iter(found["rates"].values()))], *body]


def _rate_cell(rate: Sequence[float], over_draws: Spread | None) -> str:
    text = "{:.2f} [{:.1f}, {:.1f}]".format(*rate)
    return f"{text} \u00b1 {stdev(over_draws):.2f}" if over_draws else text


def pairs_table(found: Mapping[str, Any]) -> list[list[str]]:
    """Header, and a row of cells for each pair."""
    body = [
        [" minus ".join(test["systems"]), *(_cell(*test[part]) for part in found["parts"])] for test in found["tests"]
    ]
    return [["pair", *found["parts"]], *body]


def _cell(difference: float, low: float, high: float, p_value: float) -> str:
    verdict = outcome(difference, p_value)
    return f"{difference:+.2f} [{low:+.1f}, {high:+.1f}]{'' if verdict == 'same' else f' {verdict}'}"


def pairs_notes(found: Mapping[str, Any]) -> list[str]:
    """Lines for below the tables."""
    return [legend.format(backend=found["backend"]) for legend in (RATES_LEGEND, LEGEND)]
