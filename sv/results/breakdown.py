"""Results by a property of the test side: room, microphone, or any other that a table of the data directory gives."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sv.base.layout import ModelFolder
from sv.base.seeding import generator
from sv.kaldi.scp import read_table, read_utt2spk
from sv.kaldi.trials import Trials, read_trials, scores_of_trials
from sv.results.conditions import is_clean
from sv.results.proof import key_of
from sv.results.rows import CALIBRATED, POINTS, Row, speakers_of
from sv.results.score_files import StoredScores
from sv.results.tables import ABSENT, EER, INTERVAL, MIN_DCF, interval_cell
from sv.scoring import compute_eer, compute_min_dcf, eer_interval

Groups = dict[str, dict[str, list[str]]]  # by test set: `utterances` that are tested, and of each property their values
COLUMNS = (EER.header, INTERVAL, MIN_DCF.header)  # per system


def subset(trials: Trials, chosen: np.ndarray) -> Trials:
    """Trials where the (num_trials,) bool array `chosen` is true."""
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
    """Measure the trials of each value of each property, in byte order of the values.

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


def break_down_folder(path: Path, data_dir: Path, properties: Sequence[str], seed: int) -> list[Row]:
    """Break down every back end that a model folder has scored on a data directory, except calibrated ones.

    Calibration does not change error rates.

    Raises
    ------
    FileNotFoundError
        If there are no scores.
    """
    trials, utt2spk = read_trials(data_dir / "trials"), read_utt2spk(data_dir / "utt2spk")
    tables = {by: read_table(data_dir / f"utt2{by}") for by in properties}
    model, set_name = ModelFolder(path), data_dir.name
    scores = model.scores(set_name, "cosine").parent
    files = [file for file in sorted(scores.glob("*.scores")) if not file.stem.endswith(CALIBRATED)]
    if not files:
        raise FileNotFoundError(f"{scores}: no scores; run stage 7 first")
    rows = []
    for file in files:
        own = scores_of_trials(file, trials)
        rows += break_down(model.name, set_name, file.stem, trials, own, tables, utt2spk, seed)
    return rows


def groups_of(breakdowns: Sequence[Sequence[Row]], data: Path) -> Groups:
    """Properties of the test utterances of recorded breakdowns, as data directories have them, to make these again from scores."""
    found: dict[str, list[str]] = {}
    for row in (row for rows in breakdowns for row in rows):
        if row["by"] not in found.setdefault(row["test_set"], []):
            found[row["test_set"]].append(row["by"])
    groups = {}
    for set_name, properties in found.items():
        utterances = sorted(set(read_trials(data / set_name / "trials").test))
        tables = {by: read_table(data / set_name / f"utt2{by}") for by in properties}
        groups[set_name] = {"utterances": utterances}
        groups[set_name] |= {by: [table[utt] for utt in utterances] for by, table in tables.items()}
    return groups


def break_down_stored(rows: Sequence[Row], stored: StoredScores, groups: Groups) -> list[Row]:
    """Break down the recorded rows of a system by its stored scores, except those of calibrated back ends."""
    made = []
    for row in rows:
        if row["test_set"] not in groups or not is_clean(row) or row["backend"].endswith(CALIBRATED):
            continue
        own = groups[row["test_set"]]
        tables = {by: dict(zip(own["utterances"], own[by], strict=True)) for by in own if by != "utterances"}
        listed, scores = stored.of(key_of(row))
        given = (row["system"], row["test_set"], row["backend"], listed.trials, scores)
        made += break_down(*given, tables, listed.speakers, row["seed"])
    return made


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

    The columns are value, target and nontarget trials, then `COLUMNS` per system.
    """
    parts = dict.fromkeys((row["test_set"], row["by"]) for rows in systems for row in rows if row["backend"] == backend)
    return [(test_set, by, _table(systems, backend, test_set, by)) for test_set, by in parts]


def _table(systems: Sequence[Sequence[Row]], backend: str, test_set: str, by: str) -> list[list[str]]:
    own = [
        {row["value"]: row for row in rows if (row["backend"], row["test_set"], row["by"]) == (backend, test_set, by)}
        for rows in systems
    ]
    names = [rows[0]["system"] for rows in systems if rows]
    table = [[by, "target", "nontarget", *(f"{name} {column}" for name in names for column in COLUMNS)]]
    for value in sorted({value for rows in own for value in rows}):
        first = next(rows[value] for rows in own if value in rows)
        cells = [cell for rows in own for cell in _cells(rows.get(value))]
        table.append([value, str(first["num_target"]), str(first["num_nontarget"]), *cells])
    return table


def _cells(row: Row | None) -> list[str]:
    if row is None or row["eer"] is None:
        return [ABSENT] * len(COLUMNS)
    return [EER.cell([row]), interval_cell(row), MIN_DCF.cell([row])]
