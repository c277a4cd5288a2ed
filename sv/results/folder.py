"""Reading what a model folder says of its system: results, training journal, configuration, breakdown, scores."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from sv.base.config import load_json, load_json_table
from sv.base.files import sha256_of
from sv.base.layout import ModelFolder, set_of
from sv.kaldi.enrolment import read_enrolment, with_models
from sv.kaldi.scp import read_utt2spk
from sv.kaldi.trials import Trials, read_trials, scores_of_trials
from sv.results.conditions import condition_label
from sv.results.rows import Row, bootstrap_curves, read_results, speakers_of
from sv.scoring.bootstrap import Curves


@dataclass(frozen=True, kw_only=True)
class SystemResults:
    """Records of a model folder, without its scores.

    Attributes
    ----------
    folder : ModelFolder
    rows : list of Row
        Of results.json; not empty.
    journal : list of dict
        Of train.jsonl; empty for a system that was not trained here.
    config : dict
        Of config.json.
    breakdown : list of dict
        Of breakdown.json; empty if sv breakdown was not run.
    """

    folder: ModelFolder
    rows: list[Row]
    journal: list[dict[str, Any]]
    config: dict[str, Any]
    breakdown: list[Row]

    @property
    def name(self) -> str:
        """Name of the system."""
        return self.rows[0]["system"]


def load_results(path: Path) -> SystemResults:
    """Read results.json, train.jsonl, config.json and breakdown.json of a model folder.

    Raises
    ------
    ValueError
        If results.json holds no rows, or a file cannot be read as what it should be, naming it.
    """
    folder = ModelFolder(path)
    rows = read_results(folder.results)
    if not rows:
        raise ValueError(f"{folder.results} holds no rows; run stage 7 again")
    return SystemResults(
        folder=folder,
        rows=rows,
        journal=_read_journal(folder.log) if folder.log.exists() else [],
        config=load_json_table(folder.config),
        breakdown=load_json(folder.breakdown) if folder.breakdown.exists() else [],
    )


def _read_journal(path: Path) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            records.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}:{number}: not a JSON record ({error}); remove the line") from error
    return records


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreList:
    """Scores of one system and back end in one condition.

    Attributes
    ----------
    row : Row
        Result of these scores.
    trials : Trials
    scores : (num_trials,) numpy.ndarray
    utt2spk : dict
        Of utterances and enrolled models.
    """

    row: Row
    trials: Trials
    scores: np.ndarray
    utt2spk: dict[str, str]

    @property
    def system(self) -> str:
        """Name of the system."""
        return self.row["system"]

    @property
    def condition(self) -> str:
        """Condition as it is shown."""
        return condition_label(self.row)

    @property
    def set_name(self) -> str:
        """Name of the data directory."""
        return set_of(self.row["test_set"], self.row["condition"])

    @property
    def is_target(self) -> np.ndarray:
        """Labels, (num_trials,) bool."""
        return self.trials.is_target

    def speakers(self) -> tuple[tuple[np.ndarray, np.ndarray], list[str]]:
        """Speaker of either side of each trial, and the speakers' names in the order of their numbers."""
        names = sorted({self.utt2spk[utt] for side in (self.trials.enrolment, self.trials.test) for utt in side})
        return speakers_of(self.trials, self.utt2spk), names

    def bootstrap(self, seed: int) -> Curves:
        """Replicates of the DET curve, see `sv.results.rows.bootstrap_curves`."""
        return bootstrap_curves(self.set_name, self.trials, self.scores, self.utt2spk, seed)


class ScoreLists:
    """Reader of score lists that parses no file twice.

    Trials of equal content are parsed once for all sets: the noisy conditions of a test set have those of the clean one. A
    score list is kept as long as somebody uses it, as there may be hundreds of half a million scores.

    Parameters
    ----------
    data : Path
        Folder of the data directories.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self._digests: dict[str, str] = {}  # of the trials, by set
        self._trials: dict[str, Trials] = {}  # by digest
        self._utt2spk: dict[str, dict[str, str]] = {}  # by set
        self._lists: WeakValueDictionary[Path, ScoreList] = WeakValueDictionary()  # by score file

    def of(self, result: SystemResults, row: Row) -> ScoreList:
        """Score list of a row, from its score file and its set's trials.

        Raises
        ------
        ValueError
            If the trials are not those that were scored.
        """
        set_name = set_of(row["test_set"], row["condition"])
        path = result.folder.scores(set_name, row["backend"])
        if (known := self._lists.get(path)) is not None:
            return known
        if self._digest(set_name) != row["trials_sha256"]:
            trials_path = self.data / set_name / "trials"
            raise ValueError(f"{trials_path}: changed since {result.name} was scored on it; run stage 7 again")
        trials = self._trials_of(set_name)
        scores = scores_of_trials(path, trials)
        found = ScoreList(row=row, trials=trials, scores=scores, utt2spk=self._speakers(set_name))
        self._lists[path] = found
        return found

    def by_condition(
        self, results: Sequence[SystemResults], conditions: Sequence[Sequence[Row]]
    ) -> list[list[ScoreList]]:
        """Score lists per condition, in each the list of every system; the rows as in `Comparison.shared`."""
        return [[self.of(result, row) for result, row in zip(results, rows, strict=True)] for rows in conditions]

    def _digest(self, set_name: str) -> str:
        if set_name not in self._digests:
            self._digests[set_name] = sha256_of(self.data / set_name / "trials")
        return self._digests[set_name]

    def _trials_of(self, set_name: str) -> Trials:
        digest = self._digest(set_name)
        if digest not in self._trials:
            self._trials[digest] = read_trials(self.data / set_name / "trials")
        return self._trials[digest]

    def _speakers(self, set_name: str) -> dict[str, str]:
        if set_name not in self._utt2spk:
            utt2spk = read_utt2spk(self.data / set_name / "utt2spk")
            self._utt2spk[set_name] = with_models(utt2spk, read_enrolment(self.data / set_name, utt2spk))
        return self._utt2spk[set_name]
