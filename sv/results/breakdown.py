"""Results broken down by a property of the test side: room, microphone, whatever a table of the data directory says."""

from collections.abc import Mapping, Sequence

import numpy as np

from sv.base.seeding import generator
from sv.kaldi.trials import Trials
from sv.results.rows import POINTS, Row, speakers_of
from sv.scoring import compute_eer, compute_min_dcf, eer_interval

ABSENT = "-"


def subset(trials: Trials, chosen: np.ndarray) -> Trials:
    """The trials where the (num_trials,) bool array `chosen` is true."""
    rows = np.flatnonzero(chosen)
    return Trials([trials.enrolment[i] for i in rows], [trials.test[i] for i in rows], trials.is_target[rows])


def break_down(
    system: str,
    set_name: str,
    backend: str,
    trials: Trials,
    scores: np.ndarray,
    tables: Mapping[str, Mapping[str, str]],
    utt2spk: Mapping[str, str],
    seed: int,
) -> list[Row]:
    """Metrics of the trials of each value of each property, in byte order of the values.

    Parameters
    ----------
    system, set_name, backend : str
    trials : Trials
    scores : (num_trials,) numpy.ndarray
    tables : mapping of property to (mapping of utterance to value)
        Of the test utterances.
    utt2spk : mapping
        For the confidence intervals, which resample speakers.
    seed : int
        Of the confidence intervals.

    Returns
    -------
    list of rows
        `by`, `value`, the numbers of trials, and EERs in percent; metrics are None where one kind of trial is missing.

    Raises
    ------
    KeyError
        If a table lacks a test utterance.
    """
    rows = []
    for by, table in tables.items():
        if missing := sorted({utt for utt in trials.test if utt not in table}):
            raise KeyError(f"utt2{by} lacks {len(missing)} test utterances, e.g. {missing[:3]}")
        values = np.array([table[utt] for utt in trials.test])
        for value in np.unique(values).tolist():
            chosen = values == value
            row = {"system": system, "test_set": set_name, "backend": backend, "by": by, "value": value}
            rng = generator(seed, "eer-interval", set_name, by, value)
            rows.append(row | _metrics(subset(trials, chosen), scores[chosen], utt2spk, rng))
    return rows


def _metrics(trials: Trials, scores: np.ndarray, utt2spk: Mapping[str, str], rng: np.random.Generator) -> Row:
    counts = {"num_target": int(trials.is_target.sum()), "num_nontarget": int((~trials.is_target).sum())}
    if not all(counts.values()):
        return counts | {"eer": None, "eer_low": None, "eer_high": None, "min_dcf": None}
    low, high = eer_interval(scores, trials.is_target, speakers_of(trials, utt2spk), rng)
    costs = {str(p): compute_min_dcf(scores, trials.is_target, p.p_target, p.c_miss, p.c_fa) for p in POINTS}
    eer = compute_eer(scores, trials.is_target)
    return counts | {"eer": 100 * eer, "eer_low": 100 * low, "eer_high": 100 * high, "min_dcf": costs}


def tables_of(systems: Sequence[Sequence[Row]], backend: str = "cosine") -> list[tuple[str, str, list[list[str]]]]:
    """Tables that put systems beside each other: (test set, property, rows of cells with a header).

    The columns are value, target and nontarget trials, then EER with its interval and minDCF(0.01) of each system.
    """
    parts = dict.fromkeys((row["test_set"], row["by"]) for rows in systems for row in rows if row["backend"] == backend)
    return [(test_set, by, _table(systems, backend, test_set, by)) for test_set, by in parts]


def _table(systems: Sequence[Sequence[Row]], backend: str, test_set: str, by: str) -> list[list[str]]:
    own = [
        {row["value"]: row for row in rows if (row["backend"], row["test_set"], row["by"]) == (backend, test_set, by)}
        for rows in systems
    ]
    names = [rows[0]["system"] for rows in systems if rows]
    header = [
        by,
        "target",
        "nontarget",
        *(f"{name} {column}" for name in names for column in ("EER %", "95 %", "minDCF .01")),
    ]
    table = [header]
    for value in sorted({value for rows in own for value in rows}):
        first = next(rows[value] for rows in own if value in rows)
        cells = [cell for rows in own for cell in _cells(rows.get(value))]
        table.append([value, str(first["num_target"]), str(first["num_nontarget"]), *cells])
    return table


def _cells(row: Row | None) -> tuple[str, str, str]:
    if row is None or row["eer"] is None:
        return (ABSENT,) * 3
    return f"{row['eer']:.2f}", f"[{row['eer_low']:.1f}, {row['eer_high']:.1f}]", f"{row['min_dcf']['0.01']:.3f}"


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Rows of cells with a header, for a terminal."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]) for row in table]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
