"""Sections on test sets with enrolled models: similarities of speakers, and error rates over thresholds."""

from collections.abc import Sequence

from sv.kaldi.enrolment import ENROLMENT
from sv.report.blocks import Block, Section, Table, Text, figure_grid
from sv.report.enrolment_figures import error_rates, nearest_point, similarity_matrix, speaker_matrix
from sv.results.conditions import is_clean
from sv.results.folder import ScoreList, ScoreLists, SystemResults
from sv.results.rows import Row
from sv.results.tables import EER, INTERVAL, MIN_DCF, interval_cell

BACKEND = "cosine"
HEADER = ("test set", "system", EER.header, f"[{INTERVAL}]", MIN_DCF.header, "trials")


def enrolment_sections(results: Sequence[SystemResults], lists: ScoreLists) -> list[Section]:
    """Sections on the test sets without added noise whose data directories enrol models; none if there are no such sets.

    One with all their error rates, and for each set the similarities of its speakers and its error rates over thresholds.
    """
    found: dict[str, list[tuple[SystemResults, Row]]] = {}
    for result in results:
        for row in result.rows:
            enrols = (lists.data / row["test_set"] / ENROLMENT).exists()
            if is_clean(row) and row["backend"] == BACKEND and enrols:
                found.setdefault(row["test_set"], []).append((result, row))
    if not found:
        return []
    rates = Table(HEADER, [_rates(row) for own in found.values() for _, row in own], 2)
    return [
        Section("Error rates by test set", [rates]),
        *(
            Section(
                f"Similarities and thresholds: {name}",
                [block for pair in own for block in _figures(lists.of(*pair))],
            )
            for name, own in found.items()
        ),
    ]


def _rates(row: Row) -> list[str]:
    trials = f"{row['num_target']} + {row['num_nontarget']}"
    return [row["test_set"], row["system"], EER.cell([row]), interval_cell(row), MIN_DCF.cell([row]), trials]


def _figures(item: ScoreList) -> list[Block]:
    """Matrix of similarities and error rates of one system, with threshold, FAR and FRR in words."""
    sides = ([item.utt2spk[key] for key in side] for side in (item.trials.enrolment, item.trials.test))
    means, speakers = speaker_matrix(item.scores, *sides)
    threshold, p_fa, p_miss = nearest_point(item.scores, item.is_target)
    name = f"{item.system} on {item.row['test_set']}"
    drawn = [similarity_matrix(means, speakers, name), error_rates(item.scores, item.is_target, name)]
    text = (
        f"{item.system}: the error rates are nearest to each other at threshold {threshold:.3f}, FAR {100 * p_fa:.2f} %, "
        f"FRR {100 * p_miss:.2f} %. Cells: mean cosine of a speaker's test utterances with a speaker's models."
    )
    return [*figure_grid(drawn), Text(text)]
