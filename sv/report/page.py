"""Report as one HTML file: no scripts, no network, readable on a phone and on paper."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from sv.report.blocks import Block, Section, Text
from sv.report.drawing import BLUE, RED
from sv.report.enhancement import enhancement_sections
from sv.report.enrolment import enrolment_sections
from sv.report.rates import (
    backends_section,
    breakdown_sections,
    draws_section,
    paired_section,
    papers_section,
    provenance,
    rates_section,
    snr_section,
    training_section,
    verdict_text,
)
from sv.report.scores import calibration_section, error_sections, score_sections
from sv.results.comparison import Comparison, compare, other_sets
from sv.results.folder import ScoreList, ScoreLists, SystemResults
from sv.results.rows import CALIBRATED
from sv.results.tables import ABSENT, rule_notes
from sv.results.verdicts import verdicts


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2")


def render(title: str, summary: Sequence[Block], sections: Sequence[Section]) -> str:
    """HTML of a page: title, blocks below it, sections; those without blocks are left out."""
    return _template().render(
        title=title, summary=summary, sections=sections, absent=ABSENT, first_colour=BLUE, error_colour=RED
    )


def page(
    results: Sequence[SystemResults],
    lists: ScoreLists,
    note: str = "",
    despite: Collection[str] = (),
    paper_backends: Mapping[str, str] | None = None,
) -> str:
    """Page that compares systems.

    Parameters
    ----------
    results : sequence of SystemResults
    lists : ScoreLists
        Of the data directories that the systems were scored on.
    note : str
        Shown at the top, for instance what the corpus is not.
    despite : collection of str
        Fields in which the systems may differ all the same, see `sv.results.comparison.compare`.
    paper_backends : mapping of str to str, optional
        Per system the back end that its paper scores with.

    Raises
    ------
    ValueError
        If the systems cannot be compared, or their trials changed.
    """
    comparisons = compare([result.rows for result in results], despite)
    main, names = comparisons[0], [result.name for result in results]
    paired = lists.by_condition(results, main.shared if len(results) > 1 else [])
    shown = lists.by_condition(results, main.shown)
    found = verdicts(paired)
    sections = [
        rates_section(main),
        draws_section(main),
        paired_section(names[0], found),
        snr_section(main),
        *_other_rates(comparisons),
        *score_sections(shown),
        calibration_section(_calibrated(results, comparisons, lists)),
        training_section(results),
        *error_sections(shown),
        *breakdown_sections(results, main.backend),
        backends_section(comparisons),
        papers_section(comparisons, paper_backends or {}),
        *enrolment_sections(results, lists),
        *enhancement_sections(results, lists.data),
        provenance(results),
    ]
    intro = (
        f"Scored by {main.backend}. EER in percent; minDCF normalised, at target priors 0.01 and 0.05 with unit costs. "
        "Lower is better."
    )
    notes = filter(None, [note, *rule_notes([result.rows for result in results])])
    summary = [*(Text(line, "note") for line in notes), Text(intro, "")]
    summary += [Text(verdict_text(names[0], verdict), "verdict") for verdict in found]
    return render(f"{' and '.join(names)} on {main.test_set}", summary, sections)


def _other_rates(comparisons: Sequence[Comparison]) -> list[Section]:
    """Error rates, and their spread over draws, on further test sets that have conditions."""
    sections = ((each, part) for each in other_sets(comparisons) for part in (rates_section(each), draws_section(each)))
    return [replace(section, heading=f"{section.heading}: {each.test_set}") for each, section in sections]


def _calibrated(
    results: Sequence[SystemResults], comparisons: Sequence[Comparison], lists: ScoreLists
) -> list[list[ScoreList]]:
    """Log-likelihood ratios of the main back end, in the conditions that the page shows."""
    main = comparisons[0]
    wanted = (main.test_set, f"{main.backend}{CALIBRATED}")
    names = {rows[0]["condition"] for rows in main.shown}
    shared = (rows for each in comparisons if (each.test_set, each.backend) == wanted for rows in each.shared)
    return lists.by_condition(results, [rows for rows in shared if rows[0]["condition"] in names])
