"""Many systems on the same trials, each tested against some references: the rates and differences of RESULTS.md."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sv.results.conditions import first_draws, is_clean
from sv.results.folder import ScoreLists, SystemResults
from sv.results.means import MEAN15, NOISY, averaged
from sv.results.rows import Row, computed_text
from sv.results.tables import EER, INTERVAL, scored_text, short_commit
from sv.results.verdicts import holm, outcome
from sv.scoring.bootstrap import interval, paired_test

BACKENDS = ("cosine", "plda")
PARTS = ("clean", MEAN15, NOISY)
Curves = dict[str, np.ndarray]  # per part the EER and its replicates, (1 + num_replicates,), in [0, 1]


def versus(results: Sequence[SystemResults], references: Sequence[str], lists: ScoreLists) -> list[dict[str, Any]]:
    """Compare every system and back end with each reference: EERs in percent, and their differences.

    Parameters
    ----------
    results : sequence of SystemResults
        Compared on the first one's test set.
    references : sequence of str
        `<system>:<back end>`.
    lists : ScoreLists

    Returns
    -------
    list of dict
        Per system and back end: system, backend; clean and mean15, or noisy (the mean over all noisy conditions) without it:
        EER and its 95 % interval; against: per reference and part the difference in points, its 95 % interval and p-value, after
        Holm's correction for the number of records.

    Raises
    ------
    ValueError
        If a reference is not one of the systems with one of `BACKENDS`, or systems were scored in different conditions.
    """
    test_set, records, curves = results[0].rows[0]["test_set"], [], {}
    num_speakers = 0
    for result in results:
        for backend in BACKENDS:
            own = first_draws(result.rows)
            rows = [row for row in own if (row["test_set"], row["backend"]) == (test_set, backend)]
            if not rows:
                continue
            found, num_speakers, num_target = _curves(result, rows, lists)
            name = f"{result.name}:{backend}"
            curves[name] = found
            spans = {part: interval(values, num_speakers, num_target) for part, values in found.items()}
            rates = {part: [100 * float(values[0]), *(100 * x for x in spans[part])] for part, values in found.items()}
            conditions = sorted(row["condition"] for row in rows)
            records.append(
                {"system": result.name, "backend": backend, "conditions": conditions, **rates, "against": {}}
            )
    if unknown := [name for name in references if name not in curves]:
        raise ValueError(f"--against {unknown[0]}: not among {', '.join(curves)}")
    if odd := [record["system"] for record in records if record["conditions"] != records[0]["conditions"]]:
        raise ValueError(f"{odd[0]} was scored in other conditions than {records[0]['system']}; run stage 7 again")
    for reference in references:
        for part in curves[reference]:
            _test(records, curves, reference, part, num_speakers)
    return records


def _curves(result: SystemResults, rows: Sequence[Row], lists: ScoreLists) -> tuple[Curves, int, int]:
    parts: dict[str, list[np.ndarray]] = {}
    name, noisy = averaged(rows)
    for row in rows:
        part = "clean" if is_clean(row) else name
        if part == name and row not in noisy:
            continue
        curves = lists.of(result, row).bootstrap(row["seed"])
        eers = curves.eers()
        eers[0] = row["eer"] / 100  # exact, where long lists' curves are evaluated on fewer thresholds
        parts.setdefault(part, []).append(eers)
    means = {part: np.mean(parts[part], axis=0) for part in PARTS if part in parts}
    return means, curves.num_speakers, rows[0]["num_target"]


def _test(records: list[dict], curves: dict[str, Curves], reference: str, part: str, num_speakers: int) -> None:
    tested = [record for record in records if f"{record['system']}:{record['backend']}" != reference]
    tests = [
        paired_test(
            100 * curves[f"{record['system']}:{record['backend']}"][part], 100 * curves[reference][part], num_speakers
        )
        for record in tested
    ]
    for record, test, p_value in zip(tested, tests, holm([test.p_value for test in tests])):
        record["against"].setdefault(reference, {})[part] = [test.difference, test.low, test.high, p_value]


def versus_table(records: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Header and rows of cells: EERs, then the differences to each reference, marked where they are significant."""
    references = list(max((record["against"] for record in records), key=len))
    parts = [part for part in PARTS if part in records[0]]
    header = ["system", "back end", *(f"{part} {EER.header} [{INTERVAL}]" for part in parts)]
    header += [f"{part}: minus {name.replace(':', ', ')}" for name in references for part in parts]
    body = []
    for record in records:
        cells = [record["system"], record["backend"]]
        cells += ["{:.2f} [{:.1f}, {:.1f}]".format(*record[part]) for part in parts]
        for name in references:
            found = record["against"].get(name, {})
            cells += [_difference(*found[part]) if part in found else "" for part in parts]
        body.append(cells)
    return [header, *body]


def versus_notes(systems: Sequence[Sequence[Row]]) -> list[str]:
    """Facts that the numbers depend on, one line for all systems that have them in common."""
    alike: dict[str, list[str]] = {}
    for rows in systems:
        row = rows[0]
        how = f"{row['crop_scheme']}{computed_text(rows)}"
        text = f"{scored_text(row)}, {how}, commit {short_commit(row['commit'])}, seed {row['seed']}"
        alike.setdefault(text, []).append(f"{row['system']} {row['checkpoint_sha256'][:12]}")
    return [f"{text}; checkpoints: {', '.join(names)}" for text, names in alike.items()]


def _difference(value: float, low: float, high: float, p_value: float) -> str:
    found = outcome(value, p_value)
    return f"{value:+.2f} [{low:+.1f}, {high:+.1f}]{'' if found == 'same' else f' {found}'}"
