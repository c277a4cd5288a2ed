"""Cells of numbers in the report's and RESULTS.md's tables, and whole tables in text and Markdown."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from sv.results.comparison import Comparison, first
from sv.results.conditions import condition_label, is_clean
from sv.results.means import MEAN15, NOISY, averaged, means
from sv.results.protocols import protocol_notes, protocols_of
from sv.results.rows import Row, computed_text

ABSENT = "-"
LEGEND = "minDCF normalised, c_miss 1, c_fa 1; intervals by a bootstrap over speakers"


@dataclass(frozen=True)
class Measure:
    """Measure of a row as tables show it.

    Attributes
    ----------
    header : str
    digits : int
        After the decimal point.
    value : callable
        Number of a row; None where it has none.
    """

    header: str
    digits: int
    value: Callable[[Row], float | None]

    def cell(self, rows: Sequence[Row]) -> str:
        """Mean over rows; `ABSENT` if there are none, or one has no number."""
        values = [self.value(row) for row in rows]
        return f"{fmean(values):.{self.digits}f}" if values and None not in values else ABSENT


def _cost(kind: str, prior: str) -> Callable[[Row], float | None]:
    return lambda row: row[kind] and row[kind][prior]


EER = Measure("EER %", 2, lambda row: row["eer"])
MIN_DCF = Measure("minDCF .01", 3, _cost("min_dcf", "0.01"))
MIN_DCF_05 = Measure("minDCF .05", 3, _cost("min_dcf", "0.05"))
ACT_DCF = Measure("actDCF .01", 3, _cost("act_dcf", "0.01"))
CLLR = Measure("Cllr", 3, lambda row: row["cllr"])
MIN_CLLR = Measure("minCllr", 3, lambda row: row["min_cllr"])
INTERVAL = "95 %"

COLUMNS = (EER.header, f"[{INTERVAL}]", MIN_DCF.header, MIN_DCF_05.header)  # per system
BACKEND_MEASURES = (EER, MIN_DCF, ACT_DCF, CLLR, MIN_CLLR)
BACKEND_LEGENDS = {
    MEAN15: "mean15: MUSAN noise, music and babble at 0, 5, 10, 15 and 20 dB",
    NOISY: "noisy: mean over all conditions but clean",
}


def interval_cell(row: Row) -> str:
    """Confidence interval of the EER, in percent."""
    return f"[{row['eer_low']:.1f}, {row['eer_high']:.1f}]"


def table_body(comparison: Comparison) -> list[list[str]]:
    """Cells per condition: its name, then `COLUMNS` per system; last those of `mean_body`."""
    body = []
    for rows in comparison.conditions:
        body.append([condition_label(first(rows)), *(cell for row in rows for cell in _cells(row))])
    return body + mean_body(comparison)


def mean_body(comparison: Comparison) -> list[list[str]]:
    """Cells per mean, see `sv.results.means.means`: its name, then `COLUMNS` per system, `ABSENT` where it lacks a condition."""
    tables = [{row["condition"]: row for row in rows if row} for rows in zip(*comparison.conditions)]
    names: dict[str, list[str]] = {}
    for table in tables:
        names |= {name: [row["condition"] for row in own] for name, own in means(list(table.values())).items()}
    return [
        [name, *(cell for table in tables for cell in _mean_cells([table.get(condition) for condition in conditions]))]
        for name, conditions in names.items()
    ]


def _cells(row: Row | None) -> list[str]:
    if row is None:
        return [ABSENT] * len(COLUMNS)
    return [EER.cell([row]), interval_cell(row), MIN_DCF.cell([row]), MIN_DCF_05.cell([row])]


def _mean_cells(rows: Sequence[Row | None]) -> list[str]:
    if None in rows:
        return [ABSENT] * len(COLUMNS)
    return [EER.cell(rows), "", MIN_DCF.cell(rows), MIN_DCF_05.cell(rows)]


def text_table(comparison: Comparison) -> str:
    """Aligned columns for a terminal, the systems' names above theirs."""
    table = [["condition", *COLUMNS * len(comparison.systems)], *table_body(comparison)]
    widths = widths_of(table)
    groups = [" " * widths[0]]
    for i, name in enumerate(comparison.systems):
        own = slice(1 + i * len(COLUMNS), 1 + (i + 1) * len(COLUMNS))
        widths[own.start] = max(widths[own.start], len(name) - sum(widths[own][1:]) - 2 * (len(COLUMNS) - 1))
        groups.append(name.center(sum(widths[own]) + 2 * (len(COLUMNS) - 1)))
    return "\n".join(["  ".join(groups).rstrip(), aligned(table, widths)])


def widths_of(table: Sequence[Sequence[str]]) -> list[int]:
    """Width of each column, in characters."""
    return [max(map(len, column)) for column in zip(*table)]


def aligned(table: Sequence[Sequence[str]], widths: Sequence[int] | None = None) -> str:
    """Rows of cells below a header, in columns for a terminal; the first column holds words."""
    widths = widths or widths_of(table)
    lines = ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]) for row in table]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown_table(comparison: Comparison, brief: bool = False) -> str:
    """Markdown table of a comparison; the columns carry the systems' names, and are the EERs alone if `brief`."""
    columns = COLUMNS[:1] if brief else COLUMNS
    header = ["condition", *(f"{name} {column}" for name in comparison.systems for column in columns)]
    return markdown_rows(
        header, [[cells[0], *cells[1 :: len(COLUMNS)]] if brief else cells for cells in table_body(comparison)]
    )


def markdown_rows(header: Sequence[str], body: Sequence[Sequence[str]], num_words: int = 1) -> str:
    """Markdown table whose first columns hold words, the others numbers."""
    rule = ["---"] * num_words + ["---:"] * (len(header) - num_words)
    rows = [[cell.replace("|", "\\|") for cell in row] for row in (header, *body)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]])


@dataclass(frozen=True)
class BackendRows:
    """Rows of one system and back end in the conditions that all systems have.

    Attributes
    ----------
    system, backend : str
    clean : list of Row
    name : str
        Of the mean over `noisy`: mean15, or noisy.
    noisy : list of Row
    """

    system: str
    backend: str
    clean: list[Row]
    name: str
    noisy: list[Row]


def backend_rows(comparisons: Sequence[Comparison]) -> list[BackendRows]:
    """Rows of the first test set, per back end and system."""
    return [
        BackendRows(name, each.backend, [row for row in rows if is_clean(row)], *averaged(rows))
        for each in comparisons
        if each.test_set == comparisons[0].test_set
        for name, rows in zip(each.systems, zip(*each.shared))
    ]


def backend_table(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """Header, and cells of one row per back end and system of the first test set."""
    found = backend_rows(comparisons)
    where = ("clean", mean_name(found))
    header = ["system", "back end", *(f"{part} {measure.header}" for part in where for measure in BACKEND_MEASURES)]
    return [header] + [
        [
            own.system,
            own.backend,
            *(measure.cell(rows) for rows in (own.clean, own.noisy) for measure in BACKEND_MEASURES),
        ]
        for own in found
    ]


def mean_name(found: Sequence[BackendRows]) -> str:
    """Name of the mean over noise in a table of back ends: `mean15` if it is that in each line, else `noisy`."""
    return MEAN15 if {own.name for own in found} == {MEAN15} else NOISY


def footnotes(systems: Sequence[list[Row]]) -> list[str]:
    """Facts that the numbers depend on, one line per system."""
    lines = [
        f"{row['system']}: {scored_text(row)}, {row['crop_scheme']}{computed_text(rows)}, "
        f"checkpoint {row['checkpoint_sha256'][:12]}, commit {short_commit(row['commit'])}, seed {row['seed']}"
        for rows in systems
        for row in rows[:1]
    ]
    return lines + rule_notes(systems)


def scored_text(row: Row) -> str:
    """Numbers of trials, and their digest."""
    return (
        f"{row['num_target']} target and {row['num_nontarget']} nontarget trials "
        f"({row['trials_sha256'][:12]}, {row['num_dropped']} dropped)"
    )


def rule_notes(systems: Sequence[list[Row]]) -> list[str]:
    """Rules that tables show beside their numbers.

    What a protocol of added noise does to the labels; rules of a benchmark that each system's training breaks, or that it is not
    known, if its rows were checked for it.
    """
    notes = protocol_notes(protocols_of(systems))
    for rows in systems:
        name, broken = rows[0]["system"], rows[0].get("broken_rules", [])
        rules = f"the {rows[0].get('rules')} challenge's rules"
        if broken is None:
            notes.append(f"{name} was not trained here: whether it keeps {rules} is not known")
        else:
            notes += [f"{name} breaks {rules}: {rule}" for rule in broken]
    return notes


def short_commit(commit: str) -> str:
    """First digits of a commit, and whether the code was changed since; a release as it is."""
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]+", r"\1", commit)
