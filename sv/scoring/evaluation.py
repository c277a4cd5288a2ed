"""Error rates of a score file, matched with its trials on disk."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sv.base.seeding import generator
from sv.kaldi.scp import naming
from sv.kaldi.trials import Trials, scores_of_trials
from sv.scoring.bootstrap import eer_interval
from sv.scoring.join import join_scores
from sv.scoring.metrics import OperatingPoint
from sv.scoring.streaming import ScoreRuns, summarise


class MissingScores(ValueError):
    """Trials without a score.

    Attributes
    ----------
    missing : list of (line, enrolment, test)
        In trial order.
    """

    def __init__(self, message: str, missing: list[tuple[int, str, str]]) -> None:
        super().__init__(message)
        self.missing = missing


def evaluate_file(trials: Path, scores: Path, points: Sequence[OperatingPoint]) -> dict[str, Any]:
    """Error rates of a score file of any toolkit, in any order and of any length.

    Returns
    -------
    dict
        The fields of `sv.scoring.streaming.Summary`, EERs in percent and costs by operating point; `num_foreign`, scores
        of pairs that are not trials.

    Raises
    ------
    MissingScores
        If trials have no score.
    DataDirError
        Naming file and line: as `join_scores`, and if a kind of trial is absent.
    """
    with tempfile.TemporaryDirectory(prefix="sv-metrics-") as folder:
        runs = ScoreRuns(Path(folder))
        report = join_scores(trials, scores, Path(folder), runs.add)
        if report.missing:
            message = f"{scores}: {len(report.missing)} of {report.num_trials} trials have no score"
            raise MissingScores(message, report.missing)
        with naming(trials):
            summary = summarise(runs.blocks(), runs.num_target, runs.num_nontarget, points)
    by_point = {name: dict(zip(map(str, points), getattr(summary, name))) for name in ("min_dcf", "act_dcf")}
    percent = {"eer": 100 * summary.eer, "eer_kaldi": 100 * summary.eer_kaldi}
    return asdict(summary) | percent | by_point | {"num_foreign": report.num_foreign}


def interval_of_file(trials: Trials, scores: Path, speakers: tuple[np.ndarray, np.ndarray], seed: int) -> list[float]:
    """95 % interval of a score file's EER in percent; speakers of either side of each trial, (num_trials,) int each."""
    low_high = eer_interval(
        scores_of_trials(scores, trials), trials.is_target, speakers, generator(seed, "eer-interval")
    )
    return [100 * bound for bound in low_high]
