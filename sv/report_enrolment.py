"""What the report shows of test sets with enrolled models: similarities of speakers, and error rates over thresholds."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sv.figures_enrolment import error_rates, nearest_point, similarity_matrix, speaker_matrix
from sv.kaldi.enrolment import ENROLMENT, read_enrolment, with_models
from sv.kaldi.scp import read_utt2spk
from sv.kaldi.trials import read_trials, scores_of_trials
from sv.results import Row

BACKEND = "cosine"


class Result(Protocol):
    """A system's model folder and the rows of its results.json."""

    folder: Path
    rows: list[Row]


def enrolment_sections(results: Sequence[Result], data: Path) -> list[tuple[str, str]]:
    """A section (heading, content) for each test set without added noise whose data directory enrols models."""
    sets = dict.fromkeys(
        row["test_set"]
        for result in results
        for row in result.rows
        if row["noise"] is None and row["backend"] == BACKEND and (data / row["test_set"] / ENROLMENT).exists()
    )
    return [(f"Similarities and thresholds: {name}", _section(results, data / name)) for name in sets]


def _section(results: Sequence[Result], data_dir: Path) -> str:
    return "".join(
        system_figures(result.folder, row["system"], data_dir)
        for result in results
        for row in result.rows
        if row["noise"] is None and row["test_set"] == data_dir.name and row["backend"] == BACKEND
    )


def system_figures(folder: Path, system: str, data_dir: Path) -> str:
    """One system's matrix of similarities and its error rates, with EER, threshold, FAR and FRR in words."""
    trials, utt2spk = read_trials(data_dir / "trials"), read_utt2spk(data_dir / "utt2spk")
    scores = scores_of_trials(folder / "scores" / data_dir.name / f"{BACKEND}.scores", trials)
    speaker_of = with_models(utt2spk, read_enrolment(data_dir, utt2spk))
    sides = ([speaker_of[key] for key in side] for side in (trials.enrolment, trials.test))
    means, speakers = speaker_matrix(scores, *sides)
    threshold, p_fa, p_miss = nearest_point(scores, trials.is_target)
    figures = similarity_matrix(means, speakers, system) + error_rates(scores, trials.is_target, system)
    return (
        f'<div class="grid">{figures}</div><p class="small">{html.escape(system)}: the error rates are nearest to each other '
        f"at threshold {threshold:.3f}, FAR {100 * p_fa:.2f} %, FRR {100 * p_miss:.2f} %. "
        "Cells: mean cosine of a speaker's test utterances with a speaker's models.</p>"
    )
