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
from sv.results.tables import ABSENT
from sv.results.verdicts import holm, outcome
from sv.scoring.bootstrap import PairedTest, interval, paired_test

RATES_LEGEND = (
    "system, back end: EER in percent on clean speech and in each mean [its 95 % interval over speakers] \u00b1 the standard "
    "deviation over draws, where there are several"
)
LEGEND = (
    "EER of the first minus that of the second, in points, of {backend} scores: same trials and draws of speakers for both; "
    "better, worse: the first one at the 5 % level, after Holm's correction for the number of {rows}, in each column"
)
MOVED_LEGEND = (
    "score change: the largest of a trial's score between the two, which have the same weights, in all conditions"
)
Pairs = dict[str, Any]
Curves = dict[str, np.ndarray]  # per part the EER in percent and its replicates, (1 + num_replicates,)


def pairs(
    systems: Sequence[Sequence[Row]],
    stored: Sequence[StoredScores],
    backends: Sequence[str],
    references: Sequence[str] = (),
    chosen: Sequence[str] = (),
) -> Pairs:
    """Error rates on clean speech and on each mean over conditions, and paired tests on each.

    Kinds of noise that a wider mean is over, mean15 or that of far conditions, are left out.

    Parameters
    ----------
    systems : sequence of list of Row
    stored : sequence of StoredScores
        Of each system.
    backends : sequence of str
        That every system has.
    references : sequence of str
        `<system>:<back end>`: test all others against each of these; without, every two systems by the first back end.
    chosen : sequence of str
        `<system>:<system>`: test these pairs alone, by the first back end. Several systems, a+b, stand for the mean of their
        EERs, as those of several seeds.

    Returns
    -------
    dict
        backends, references, chosen; rates: per system and back end the EER in percent and its 95 % interval by part; parts: names
        of what is tested, without mean16; tests: per pair of `<system>:<back end>`, and per part, the difference in points,
        its 95 % interval and p-value, after Holm's correction for the number of pairs, of one reference if there are any;
        moved: of chosen systems with the same weights, the largest change of a score.

    Raises
    ------
    ValueError
        For a reference that is none of the systems with one of the back ends, or a chosen system that is none.
    """
    drawn = {
        f"{rows[0]['system']}:{backend}": _replicates(rows, scores, backend)
        for rows, scores in zip(systems, stored)
        for backend in backends
    }
    if unknown := [name for name in references if name not in drawn]:
        raise ValueError(f"--against {unknown[0]}: not among {', '.join(drawn)}")
    curves = {name: found for name, (found, _) in drawn.items()}
    first, *others = [_conditions(rows, backend) for rows in systems for backend in backends]
    shared = [part for part, over in first.items() if all(found.get(part) == over for found in others)]
    parts = [part for part in shared if part != MEAN16]
    num_speakers, num_target = next(iter(drawn.values()))[1], systems[0][0]["num_target"]
    rates = [
        {"of": name, **{part: _rate(found[part], num_speakers, num_target) for part in shared}}
        for name, found in curves.items()
    ]
    firsts = [name for name in curves if name.endswith(f":{backends[0]}")]
    groups = [[(name, other) for name in curves if name != other] for other in references]
    if chosen:
        groups = [[_sides(each, curves, backends[0]) for each in chosen]]
    tests = []
    for group in groups or [list(combinations(firsts, 2))]:
        tests += _tested(group, curves, parts, num_speakers)
    if chosen:
        _add_moved(tests, dict(zip([rows[0]["system"] for rows in systems], zip(systems, stored))), backends[0])
    return {
        "backends": list(backends),
        "references": list(references),
        **({"chosen": list(chosen)} if chosen else {}),
        "rates": rates,
        "parts": parts,
        "tests": tests,
    }


def _tested(
    group: Sequence[tuple[str, str]], curves: Mapping[str, Curves], parts: Sequence[str], num_speakers: int
) -> list[dict[str, Any]]:
    """A record for each pair of names: these, and per part its test, with Holm's correction within the group."""
    records: list[dict[str, Any]] = [{"pair": list(pair)} for pair in group]
    for part in parts:
        found = [paired_test(curves[first][part], curves[second][part], num_speakers) for first, second in group]
        for record, test, p_value in zip(records, found, holm([test.p_value for test in found])):
            record[part] = _numbers(test, p_value)
    return records


def _sides(chosen: str, curves: dict[str, Curves], backend: str) -> tuple[str, str]:
    """Names in `curves` of both sides of a chosen pair; means over several systems are added there."""
    first, colon, second = chosen.partition(":")
    for side in (first, second):
        names = [f"{name}:{backend}" for name in side.split("+")]
        if unknown := [name for name in names if name not in curves]:
            there = ", ".join(name.removesuffix(f":{backend}") for name in curves if name.endswith(f":{backend}"))
            said = f"no system {unknown[0].removesuffix(f':{backend}')!r}, there are {there}"
            raise ValueError(f"--pair {chosen}: {said if colon else 'give FIRST:SECOND'}")
        parts = set.intersection(*(set(curves[name]) for name in names))
        curves[f"{side}:{backend}"] = {part: np.mean([curves[name][part] for name in names], axis=0) for part in parts}
    return f"{first}:{backend}", f"{second}:{backend}"


def _add_moved(
    tests: Sequence[dict[str, Any]], systems: Mapping[str, tuple[Sequence[Row], StoredScores]], backend: str
) -> None:
    """Add the largest change of a score to tests of two systems with the same weights."""
    for test in tests:
        sides = [name.removesuffix(f":{backend}") for name in test["pair"]]
        if not all(side in systems for side in sides):
            continue
        (rows, scores), (others, other_scores) = (systems[side] for side in sides)
        if rows[0]["checkpoint_sha256"] == others[0]["checkpoint_sha256"]:
            shared = {key_of(row) for row in _own(rows, backend)} & {key_of(row) for row in _own(others, backend)}
            test["moved"] = max(float(np.abs(scores.of(key)[1] - other_scores.of(key)[1]).max()) for key in shared)


def _rate(eers: np.ndarray, num_speakers: int, num_target: int) -> list[float]:
    return [float(eers[0]), *(100 * bound for bound in interval(eers / 100, num_speakers, num_target))]


def _numbers(test: PairedTest, p_value: float) -> list[float]:
    return [float(number) for number in (test.difference, test.low, test.high, p_value)]


def _replicates(rows: Sequence[Row], stored: StoredScores, backend: str) -> tuple[Curves, int]:
    """Per part the EER in percent and its bootstrap replicates, (1 + num_replicates,); and the number of speakers."""
    own = _own(rows, backend)
    eers, num_speakers = {}, 0
    for row in own:
        listed, scores = stored.of(key_of(row))
        curves = bootstrap_curves(key_of(row)[0], listed.trials, scores, listed.speakers, row["seed"])
        eers[row["condition"]], num_speakers = 100 * curves.eers(), curves.num_speakers
        eers[row["condition"]][0] = row["eer"]  # exact, where long lists' curves are evaluated on fewer thresholds
    return {
        name: np.mean([eers[row["condition"]] for row in part], axis=0) for name, part in _parts(own).items()
    }, num_speakers


def _own(rows: Sequence[Row], backend: str) -> list[Row]:
    """First draws of a back end on the first test set."""
    return [row for row in first_draws(rows) if (row["test_set"], row["backend"]) == (rows[0]["test_set"], backend)]


def _conditions(rows: Sequence[Row], backend: str) -> dict[str, set[str]]:
    """Conditions that each part is over: systems share a part only if these are the same."""
    return {name: {row["condition"] for row in own} for name, own in _parts(_own(rows, backend)).items()}


def _parts(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Clean speech and the means that no wider one is over, with their rows."""
    found = means(rows)
    distant = [name for name in found if is_far(name.removeprefix("mean of "))]
    inner = {*OF_MEAN15, *(distant if len(distant) > 1 else [])}
    clean = {CLEAN: [row for row in rows if is_clean(row)]}
    return {name: own for name, own in (clean | found).items() if own and name not in inner}


def rates_table(found: Mapping[str, Any], comparisons: Sequence[Comparison]) -> list[list[str]]:
    """Header, and a row of cells for each system and back end; spreads over draws are those of the comparisons."""
    over_draws = {
        f"{name}:{each.backend}": spreads([row for row in rows if row])
        for each in comparisons
        if each.test_set == comparisons[0].test_set
        for name, rows in zip(each.systems, zip(*each.conditions, *each.draws))
    }
    shared = [part for part in found["rates"][0] if part != "of"]
    body = [
        [*rate["of"].rsplit(":", 1), *(_rate_cell(rate[part], over_draws[rate["of"]].get(part)) for part in shared)]
        for rate in found["rates"]
    ]
    return [["system", "back end", *shared], *body]


def _rate_cell(rate: Sequence[float], over_draws: Spread | None) -> str:
    text = "{:.2f} [{:.1f}, {:.1f}]".format(*rate)
    return f"{text} \u00b1 {stdev(over_draws):.2f}" if over_draws else text


def pairs_table(found: Mapping[str, Any]) -> list[list[str]]:
    """Header, and a row of cells for each pair; their back ends are named if there are several."""
    several = bool(found["references"])
    moved = any("moved" in test for test in found["tests"])
    body = [
        [
            " minus ".join(name if several else name.rsplit(":", 1)[0] for name in test["pair"]),
            *(_cell(*test[part]) for part in found["parts"]),
            *([f"{test['moved']:.3f}" if "moved" in test else ABSENT] if moved else []),
        ]
        for test in found["tests"]
    ]
    return [["pair", *found["parts"], *(["score change"] if moved else [])], *body] if body else []


def _cell(difference: float, low: float, high: float, p_value: float) -> str:
    verdict = outcome(difference, p_value)
    return f"{difference:+.2f} [{low:+.1f}, {high:+.1f}]{'' if verdict == 'same' else f' {verdict}'}"


def pairs_notes(found: Mapping[str, Any]) -> list[str]:
    """Lines for below the tables."""
    of = ("the named back ends'", "rows with one reference") if found["references"] else (found["backends"][0], "pairs")
    moved = [MOVED_LEGEND] if any("moved" in test for test in found["tests"]) else []
    return [RATES_LEGEND, *([LEGEND.format(backend=of[0], rows=of[1])] if found["tests"] else []), *moved]
