"""What the report shows of test sets with enrolled models: similarities of speakers, and error rates over thresholds."""

import html
from collections.abc import Sequence
from pathlib import Path

from sv.kaldi.enrolment import ENROLMENT
from sv.report.enrolment_figures import error_rates, nearest_point, similarity_matrix, speaker_matrix
from sv.report.html import table
from sv.results.folder import ScoreList, SystemResults, read_score_list
from sv.results.rows import Row

BACKEND = "cosine"
HEADER = ("test set", "system", "EER %", "[95 %]", "minDCF .01", "trials")


def enrolment_sections(results: Sequence[SystemResults], data: Path) -> list[tuple[str, str]]:
    """Sections (heading, content) on the test sets without added noise whose data directories enrol models.

    One with all their error rates, and for each set the similarities of its speakers and its error rates over thresholds.
    None if there are no such sets.
    """
    found: dict[str, list[tuple[SystemResults, Row]]] = {}
    for result in results:
        for row in result.rows:
            enrols = (data / row["test_set"] / ENROLMENT).exists()
            if row["noise"] is None and row["backend"] == BACKEND and enrols:
                found.setdefault(row["test_set"], []).append((result, row))
    if not found:
        return []
    rates = table(HEADER, [_rates(row) for own in found.values() for _, row in own], 2)
    figures = [
        (f"Similarities and thresholds: {name}", "".join(_figures(read_score_list(*pair, data)) for pair in own))
        for name, own in found.items()
    ]
    return [("Error rates by test set", rates), *figures]


def _rates(row: Row) -> list[str]:
    interval, trials = f"[{row['eer_low']:.1f}, {row['eer_high']:.1f}]", f"{row['num_target']} + {row['num_nontarget']}"
    return [row["test_set"], row["system"], f"{row['eer']:.2f}", interval, f"{row['min_dcf']['0.01']:.3f}", trials]


def _figures(item: ScoreList) -> str:
    """One system's matrix of similarities and its error rates, with threshold, FAR and FRR in words."""
    sides = ([item.utt2spk[key] for key in side] for side in (item.trials.enrolment, item.trials.test))
    means, speakers = speaker_matrix(item.scores, *sides)
    threshold, p_fa, p_miss = nearest_point(item.scores, item.is_target)
    drawn = similarity_matrix(means, speakers, item.system) + error_rates(item.scores, item.is_target, item.system)
    return (
        f'<div class="grid">{drawn}</div><p class="small">{html.escape(item.system)}: the error rates are nearest to each '
        f"other at threshold {threshold:.3f}, FAR {100 * p_fa:.2f} %, FRR {100 * p_miss:.2f} %. "
        "Cells: mean cosine of a speaker's test utterances with a speaker's models.</p>"
    )
