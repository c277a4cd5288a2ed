"""Sections that are made of rows alone: error rates, verdicts, back ends, breakdowns, and where the numbers come from."""

import json
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from sv.report import figures
from sv.report.blocks import (
    Block,
    Cell,
    Details,
    Grid,
    Heading,
    Panel,
    Section,
    Table,
    Text,
    brief,
    colour_key,
    figure_grid,
    matrix,
    shade,
    signed,
)
from sv.results.breakdown import tables_of
from sv.results.comparison import Comparison, first
from sv.results.draws import LEGEND as DRAWS_LEGEND
from sv.results.draws import draws_table
from sv.results.folder import SystemResults
from sv.results.means import NOISY, averaged, averaged_text
from sv.results.rows import Row, encoders_of, stamped
from sv.results.tables import (
    ABSENT,
    BACKEND_MEASURES,
    COLUMNS,
    BackendRows,
    Measure,
    backend_rows,
    mean_body,
    mean_name,
    short_commit,
)
from sv.results.verdicts import SIGNIFICANT, Verdict, outcome
from sv.scoring.bootstrap import PairedTest


def rate_cell(
    value: Callable[[Row], float], bounds: Callable[[Row], tuple[float, float]], digits: int, highest: float
) -> Callable[[Sequence[Row]], Cell]:
    """Cells of a matrix of rates: value, its interval below, a shade; of several conditions their mean alone."""

    def cell(rows: Sequence[Row]) -> Cell:
        mean = fmean(map(value, rows))
        low, high = bounds(rows[0])
        interval = f"{brief(low)}\u2013{brief(high)}" if len(rows) == 1 else ""
        return Cell(f"{mean:.{digits}f}", small=interval, background=shade(mean, highest))

    return cell


def rates_section(comparison: Comparison) -> Section:
    """EER by noise type and SNR, one matrix per system."""
    row = first(comparison.conditions[0])
    trials = (
        f"{row['num_target']} target and {row['num_nontarget']} nontarget trials of {row['num_speakers']} speakers in each "
        f"condition, {row['num_dropped']} dropped. Small print: 95 % intervals, from a bootstrap over speakers."
    )
    eer = _rate_grid(comparison, "EER (%)", lambda row: row["eer"], lambda row: (row["eer_low"], row["eer_high"]), 1)
    return Section("Error rates by condition", [eer, Text(trials)], essential=True)


def costs_section(comparison: Comparison) -> Section:
    """MinDCF by noise type and SNR, one matrix per system and prior."""
    return Section("Costs by condition", [_cost_grid(comparison, prior) for prior in ("0.01", "0.05")])


def means_section(comparison: Comparison) -> Section:
    """Means over conditions; empty with one condition."""
    if not (means := mean_body(comparison)):
        return Section("Means over conditions")
    header = ["mean", *(f"{name} {column}".strip() for name in comparison.systems for column in COLUMNS)]
    return Section("Means over conditions", [Table(header, means)])


def draws_section(comparison: Comparison) -> Section:
    """Mean and standard deviation of the EER over draws, by condition and mean; empty with one draw."""
    if not (table := draws_table(comparison)):
        return Section("Spread over draws")
    legend = Text(f"{DRAWS_LEGEND[0].upper()}{DRAWS_LEGEND[1:]}, verdicts and paired tests, too.")
    return Section("Spread over draws", [Table(table[0], table[1:]), legend])


def _cost_grid(comparison: Comparison, prior: str) -> Grid:
    return _rate_grid(
        comparison,
        f"minDCF, prior {prior}",
        lambda row: row["min_dcf"][prior],
        lambda row: row["min_dcf_interval"][prior],
        2,
    )


def _rate_grid(
    comparison: Comparison,
    title: str,
    value: Callable[[Row], float],
    bounds: Callable[[Row], tuple[float, float]],
    digits: int,
) -> Grid:
    highest = max(value(row) for rows in comparison.conditions for row in rows if row)
    cell = rate_cell(value, bounds, digits, highest)
    return Grid(
        [
            Panel(f"{name}: {title}", [matrix(_of_system(comparison, i), cell)])
            for i, name in enumerate(comparison.systems)
        ]
    )


def _of_system(comparison: Comparison, index: int) -> list[tuple[Row, Row]]:
    """Conditions that a system has, as `matrix` takes them."""
    return [(first(rows), rows[index]) for rows in comparison.conditions if rows[index] is not None]


def verdict_text(first_name: str, verdict: Verdict) -> str:
    """Outcome of the comparison in a sentence."""
    test, rows = verdict.overall, [row for row, _ in verdict.conditions]
    where = f"in {averaged_text(rows)}" if averaged(rows)[1] else "on clean speech"
    bounds = f"{signed(test.low, 2)} to {signed(test.high, 2)}"
    numbers = f"{signed(test.difference, 2)} points of EER, 95 % interval {bounds}, {p_text(test.p_value)}"
    found = outcome(test.difference, test.p_value)
    if found == "same":
        return f"{first_name} and {verdict.other}: no difference shown {where} ({numbers})."
    better, worse = (first_name, verdict.other) if found == "better" else (verdict.other, first_name)
    return f"{better} errs less than {worse} {where}: {first_name} minus {verdict.other} is {numbers}."


def p_text(p_value: float) -> str:
    """P-value in words."""
    return "p\u00a0<\u00a00.001" if p_value < 0.001 else f"p\u00a0=\u00a0{p_value:.3f}"


def verdict_cell(tests: Sequence[PairedTest]) -> Cell:
    """Difference and interval, coloured where it is significant; of several conditions the mean difference alone."""
    difference = signed(fmean(test.difference for test in tests), 1)
    if len(tests) > 1:
        return Cell(difference)
    (test,) = tests
    reach = f"\u00b1 {brief((test.high - test.low) / 2)}"
    return Cell(difference, small=reach, look=outcome(test.difference, test.p_value))


def paired_section(first_name: str, found: Sequence[Verdict]) -> Section:
    """Difference in the mean in a sentence, and by condition in a matrix, per compared system."""
    panels = [
        Panel(f"{first_name} minus {verdict.other}: EER (points)", [matrix(verdict.conditions, verdict_cell)])
        for verdict in found
    ]
    legend = (
        f"Blue: {first_name} errs less; orange: it errs more; white: no difference shown at the {100 * SIGNIFICANT:g} % level, "
        "after Holm's correction for the number of conditions. Same trials and the same draws of speakers for both systems; "
        "Student's t over speakers. Small print: 95 % intervals. Means are tested in the sentences above."
    )
    said = [Text(verdict_text(first_name, verdict), "verdict") for verdict in found]
    return Section("Side by side", [*said, Grid(panels), Text(legend)] if found else [])


def snr_section(comparison: Comparison) -> Section:
    """EER over SNR, one panel per noise type; empty without noise."""
    panels = figure_grid([figures.eer_over_snr(comparison, noise) for noise in comparison.noises])
    legend = Text("Bands: 95 % intervals. Dashed: without noise.")
    return Section("EER over SNR", [colour_key(comparison.systems), *panels, legend] if panels else [])


def backends_section(comparisons: Sequence[Comparison]) -> Section:
    """Every back end on clean speech and on mean15, or without it on the mean of all conditions but clean."""
    rows = backend_rows(comparisons)
    parts = {
        "clean speech": [(own.system, own.backend, own.clean) for own in rows],
        _mean_title(rows): [(own.system, own.backend, own.noisy) for own in rows],
    }
    return Section("Back ends", [panel for title, part in parts.items() for panel in _backend_panel(title, part)])


def _mean_title(rows: Sequence[BackendRows]) -> str:
    name = mean_name(rows)
    return "mean of all conditions but clean" if name == NOISY else name


def _backend_panel(title: str, part: Sequence[tuple[str, str, list[Row]]]) -> list[Panel]:
    """Table of back ends in some conditions; none if nobody was scored in them."""
    if not any(rows for _, _, rows in part):
        return []
    cells = [[system, backend, *_cells(BACKEND_MEASURES, rows)] for system, backend, rows in part]
    return [Panel(title, [Table(["system", "back end", *_headers(BACKEND_MEASURES)], cells, 2)])]


def _headers(measures: Sequence[Measure]) -> list[str]:
    return [measure.header for measure in measures]


def _cells(measures: Sequence[Measure], rows: Sequence[Row]) -> list[str]:
    return [measure.cell(rows) for measure in measures]


def breakdown_sections(results: Sequence[SystemResults], backend: str) -> list[Section]:
    """Tables of breakdown.json, one per test set and property; none if sv breakdown was not run."""
    systems = [result.breakdown for result in results if result.breakdown]
    return [
        Section(f"{test_set} by {by}", [Table(header, rows)])
        for test_set, by, (header, *rows) in tables_of(systems, backend)
    ]


def training_section(results: Sequence[SystemResults]) -> Section:
    """Loss and held-out EER over steps; empty if no system was trained here."""
    journals = {result.name: result.journal for result in results}
    curves = {"loss": "training loss", "valid_loss": "held-out loss", "valid_eer": "held-out EER (%)"}
    panels = figure_grid([figures.training_curve(journals, key, label) for key, label in curves.items()])
    return Section("Training", [colour_key(list(journals)), *panels] if panels else [])


def provenance(results: Sequence[SystemResults]) -> Section:
    """Facts that each system's numbers depend on, and differences between the configurations."""
    names = [result.name for result in results]
    facts = [
        ["training", *map(training_text, results)],
        *([name, *(fact(result.rows[0]) for result in results)] for name, fact in FACTS.items()),
    ]
    encoders = ["; ".join(encoders_of(result.rows)) for result in results]
    facts += [["codecs by", *(text or ABSENT for text in encoders)]] if any(encoders) else []
    flat = [flatten(result.config) for result in results]
    keys = [key for key in dict.fromkeys(key for table in flat for key in table) if key != "name"]
    differing = [
        [key, *(table.get(key, ABSENT) for table in flat)]
        for key in keys
        if len({table.get(key) for table in flat}) > 1
    ]
    blocks: list[Block] = [Table(["", *names], facts, 1 + len(names))]
    if differing:
        blocks += [Heading("Where the configurations differ"), Table(["", *names], differing, 1 + len(names))]
    blocks += [Details(f"{each.name}: whole configuration", json.dumps(each.config, indent=1)) for each in results]
    return Section("Where the numbers come from", blocks)


def flatten(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested keys as dotted ones, values as JSON."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        dotted = f"{prefix}{key}"
        flat |= flatten(value, f"{dotted}.") if isinstance(value, dict) else {dotted: json.dumps(value)}
    return flat


def training_text(result: SystemResults) -> str:
    """Length of a system's training, and its best EER on held-out speakers."""
    held_out = [record["valid_eer"] for record in result.journal if "valid_eer" in record]
    steps = max((record["step"] for record in result.journal), default=0)
    return f"{steps} steps, best held-out EER {min(held_out):.2f} %" if held_out else "not recorded"


FACTS: dict[str, Callable[[Row], str]] = {
    "trials": lambda row: f"{row['trials_sha256'][:12]}, {row['num_dropped']} dropped",
    "crops": lambda row: row["crop_scheme"],
    "computed in": lambda row: f"{stamped(row, 'precision')} by {stamped(row, 'runtime')}",
    "normalisation": lambda row: row["normalisation"],
    "priors and costs": lambda row: "; ".join(row["operating_points"]),
    "checkpoint": lambda row: row["checkpoint_sha256"][:12],
    "commit": lambda row: short_commit(row["commit"]),
    "seed": lambda row: str(row["seed"]),
}
