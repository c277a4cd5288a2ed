"""What a report shows beyond tables: scores of the compared systems, and tests of their differences."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sv.base.config import load_json
from sv.base.files import sha256_of
from sv.kaldi.enrolment import read_enrolment, with_models
from sv.kaldi.scp import read_utt2spk
from sv.kaldi.trials import Trials, read_trials, scores_of_trials
from sv.results.rows import Row, bootstrap_curves, read_results, speakers_of
from sv.results.tables import Comparison, condition_label, first
from sv.scoring.bootstrap import PairedTest, paired_test


@dataclass(frozen=True, kw_only=True)
class SystemResults:
    """What a model folder says of its system.

    Attributes
    ----------
    folder : Path
    rows : list of Row
        Of results.json; not empty.
    journal : list of dict
        Of train.jsonl; empty for a system that was not trained here.
    config : dict
        Of config.json.
    breakdown : list of dict
        Of breakdown.json; empty if sv breakdown was not run.
    """

    folder: Path
    rows: list[Row]
    journal: list[dict[str, Any]]
    config: dict[str, Any]
    breakdown: list[Row]

    @property
    def name(self) -> str:
        """Of the system."""
        return self.rows[0]["system"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreList:
    """Scores of one system and back end in one condition.

    Attributes
    ----------
    system, condition, set_name : str
        The condition as it is shown, and the data directory's name.
    trials : Trials
    scores : (num_trials,) numpy.ndarray
    utt2spk : dict
        Of utterances and enrolled models.
    """

    system: str
    condition: str
    set_name: str
    trials: Trials
    scores: np.ndarray
    utt2spk: dict[str, str]

    @property
    def is_target(self) -> np.ndarray:
        """Labels, (num_trials,) bool."""
        return self.trials.is_target

    def speakers(self) -> tuple[tuple[np.ndarray, np.ndarray], list[str]]:
        """Speaker of either side of each trial, and the speakers' names in the order of their numbers."""
        names = sorted({self.utt2spk[utt] for side in (self.trials.enrolment, self.trials.test) for utt in side})
        return speakers_of(self.trials, self.utt2spk), names


def load_results(folder: Path) -> SystemResults:
    """Read results.json, train.jsonl, config.json and breakdown.json of a model folder.

    Raises
    ------
    ValueError
        If results.json holds no rows, or a file cannot be read as what it should be.
    """
    rows = read_results(folder / "results.json")
    if not rows:
        raise ValueError(f"{folder}/results.json holds no rows; run stage 7 again")
    path = folder / "train.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    journal = [json.loads(line) for line in lines]
    parts = folder / "breakdown.json"
    return SystemResults(
        folder=folder,
        rows=rows,
        journal=journal,
        config=load_json(folder / "config.json"),
        breakdown=json.loads(parts.read_text(encoding="utf-8")) if parts.exists() else [],
    )


def read_score_list(result: SystemResults, row: Row, data: Path) -> ScoreList:
    """Scores of a row, from its score file and its set's trials.

    Raises
    ------
    ValueError
        If the trials are not those that were scored.
    """
    name = row["test_set"] if row["noise"] is None else f"{row['test_set']}-{row['condition']}"
    path = data / name / "trials"
    if sha256_of(path) != row["trials_sha256"]:
        raise ValueError(f"{path}: changed since {result.name} was scored on it; run stage 7 again")
    trials = read_trials(path)
    utt2spk = read_utt2spk(data / name / "utt2spk")
    return ScoreList(
        system=result.name,
        condition=condition_label(row),
        set_name=name,
        trials=trials,
        scores=scores_of_trials(result.folder / "scores" / name / f"{row['backend']}.scores", trials),
        utt2spk=with_models(utt2spk, read_enrolment(data / name, utt2spk)),
    )


def shown_conditions(comparison: Comparison) -> list[list[Row]]:
    """Clean and the noisy condition with the highest mean EER, of those that every system has."""
    clean = [rows for rows in comparison.shared if first(rows)["noise"] is None]
    noisy = [rows for rows in comparison.shared if first(rows)["noise"] is not None]
    return clean + sorted(noisy, key=lambda rows: sum(row["eer"] for row in rows))[-1:]


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """The first system against another one: EER differences in points, first minus other.

    Attributes
    ----------
    other : str
    conditions : list of (Row, PairedTest)
        Of each shared condition a row of the first system and the test; p-values after Holm's correction.
    overall : PairedTest
        Of the mean over the noisy conditions, or over all if none is noisy.
    """

    other: str
    conditions: list[tuple[Row, PairedTest]]
    overall: PairedTest


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values after Holm's step-down correction for their number (Scandinavian Journal of Statistics 6, 1979)."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def verdicts(results: Sequence[SystemResults], comparison: Comparison, data: Path) -> list[Verdicts]:
    """Paired tests of the first system against each of the others, on the conditions that all share."""
    eers: list[list[np.ndarray]] = [[] for _ in results]  # of each system and condition, in points
    num_speakers = 0
    for rows in comparison.shared if len(results) > 1 else []:
        for result, row, own in zip(results, rows, eers):
            item = read_score_list(result, row, data)
            curves = bootstrap_curves(item.set_name, item.trials, item.scores, item.utt2spk, first(rows)["seed"])
            own.append(100 * curves.eers())
            num_speakers = curves.num_speakers
    noisy = [i for i, rows in enumerate(comparison.shared) if first(rows)["noise"] is not None]
    found = []
    for result, other in zip(results[1:], eers[1:]):
        if not other:
            continue
        tests = [paired_test(a, b, num_speakers) for a, b in zip(eers[0], other)]
        adjusted = holm([test.p_value for test in tests])
        mean = [np.mean([own[i] for i in noisy or range(len(own))], axis=0) for own in (eers[0], other)]
        found.append(
            Verdicts(
                other=result.name,
                conditions=[
                    (rows[0], PairedTest(difference=t.difference, low=t.low, high=t.high, p_value=p))
                    for rows, t, p in zip(comparison.shared, tests, adjusted)
                ],
                overall=paired_test(*mean, num_speakers),
            )
        )
    return found
