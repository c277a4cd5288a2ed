"""Report as one HTML file: no scripts, no network, readable on a phone and on paper."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from sv.report.audio import Audio, wanted, write_audio
from sv.report.blocks import Block, Section, Text
from sv.report.drawing import PALETTE
from sv.report.enhancement import enhancement_sections
from sv.report.enrolment import enrolment_sections
from sv.report.rates import (
    backends_section,
    breakdown_sections,
    costs_section,
    draws_section,
    means_section,
    paired_section,
    provenance,
    rates_section,
    snr_section,
    training_section,
)
from sv.report.scores import calibration_section, error_sections, score_sections
from sv.report.summary import glance_section, verdict_sentence
from sv.results.comparison import Comparison, compare, other_sets
from sv.results.folder import ScoreList, ScoreLists, SystemResults
from sv.results.rows import CALIBRATED
from sv.results.tables import ABSENT, rule_notes
from sv.results.verdicts import replicates, verdicts


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
    """HTML of a page: title, blocks below it, contents, sections; those without blocks are left out."""
    address = _addresses()
    shown = [(address(section.heading), section) for section in sections if section.blocks]
    return _template().render(
        title=title, summary=summary, sections=shown, absent=ABSENT, palette=PALETTE, address=address
    )


def _addresses() -> Callable[[str], str]:
    """Function from a heading to an address within the page, which no other heading has."""
    given: set[str] = set()

    def address(heading: str) -> str:
        name = re.sub(r"\W+", "-", heading.lower()).strip("-") or "part"
        found, number = name, 1
        while found in given:
            number += 1
            found = f"{name}-{number}"
        given.add(found)
        return found

    return address


def page(
    results: Sequence[SystemResults],
    lists: ScoreLists,
    note: str = "",
    despite: Collection[str] = (),
    paper_backends: Mapping[str, str] | None = None,
    audio: Path | None = None,
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
    audio : Path, optional
        Folder beside the page into which recordings of the worst trials are written; without it the page has no sound.

    Raises
    ------
    ValueError
        If the systems cannot be compared, or their trials changed.
    """
    comparisons = compare([result.rows for result in results], despite)
    main, names = comparisons[0], [result.name for result in results]
    drawn = replicates(lists.by_condition(results, main.shared if len(results) > 1 else []))
    shown = lists.by_condition(results, main.shown)
    heard = write_audio(wanted(shown, lists.data), lists.data, audio) if audio and shown else Audio()
    sections = [
        glance_section(comparisons, paper_backends or {}),
        rates_section(main),
        paired_section(names[0], verdicts(drawn)),
        costs_section(main),
        means_section(main),
        draws_section(main),
        snr_section(main),
        *_other_rates(comparisons),
        *score_sections(shown),
        calibration_section(_calibrated(results, comparisons, lists)),
        training_section(results),
        *error_sections(shown, heard),
        *breakdown_sections(results, main.backend),
        backends_section(comparisons),
        *enrolment_sections(results, lists),
        *enhancement_sections(results, lists.data),
        provenance(results),
    ]
    notes = filter(None, [note, *rule_notes([result.rows for result in results])])
    intro = (
        f"By {main.backend} unless another back end is named. EER in percent; minDCF normalised, at target priors 0.01 and "
        "0.05 with unit costs. Lower is better."
    )
    summary = [*(Text(line, "note") for line in notes), Text(verdict_sentence(main, drawn), "verdict"), Text(intro)]
    return render(f"{' and '.join(names)} on {main.test_set}", summary, sections)


def _other_rates(comparisons: Sequence[Comparison]) -> list[Section]:
    """Error rates, costs, means and their spread over draws, on further test sets that have conditions."""
    made = (
        (each.test_set, section)
        for each in other_sets(comparisons)
        for section in (rates_section(each), costs_section(each), means_section(each), draws_section(each))
    )
    return [replace(own, heading=f"{own.heading}: {test_set}", essential=False) for test_set, own in made]


def _calibrated(
    results: Sequence[SystemResults], comparisons: Sequence[Comparison], lists: ScoreLists
) -> list[list[ScoreList]]:
    """Log-likelihood ratios of the main back end, in the conditions that the page shows."""
    main = comparisons[0]
    wanted = (main.test_set, f"{main.backend}{CALIBRATED}")
    names = {rows[0]["condition"] for rows in main.shown}
    shared = (rows for each in comparisons if (each.test_set, each.backend) == wanted for rows in each.shared)
    return lists.by_condition(results, [rows for rows in shared if rows[0]["condition"] in names])
