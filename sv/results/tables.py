"""Results of several systems side by side: rows of results.json to tables in text and Markdown."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

from sv.results.rows import OF_ONE_SYSTEM, Row

NOISE_ORDER = ("noise", "music", "babble", "nonspeech")
COLUMNS = ("EER %", "[95 %]", "minDCF .01", "minDCF .05")  # of each system
ABSENT = "-"
BACKEND_MEASURES = ("EER %", "minDCF .01", "actDCF .01", "Cllr", "minCllr")
BACKEND_COLUMNS = (
    "system", "back end", *(f"{where} {what}" for where in ("clean", "noisy") for what in BACKEND_MEASURES),
)  # fmt: skip
# What has to be the same in all cells of a row, for its numbers to be compared.
COMPARED = (
    "trials_sha256", "num_target", "num_nontarget", "num_dropped", "operating_points", "crop_scheme", "normalisation",
    "calibration",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Results on one test set with one back end.

    Attributes
    ----------
    test_set, backend : str
    systems : list of str
    conditions : list of list
        Clean first, then by noise type and falling SNR; of each condition a row a system, None where it has none.
    """

    test_set: str
    backend: str
    systems: list[str]
    conditions: list[list[Row | None]]

    @property
    def shared(self) -> list[list[Row]]:
        """Conditions that every system has."""
        return [rows for rows in self.conditions if all(rows)]

    @property
    def noises(self) -> list[str]:
        """Noise types, in the order of the table."""
        return list(dict.fromkeys(noise for rows in self.conditions if (noise := first(rows)["noise"]) is not None))


def first(rows: Sequence[Row | None]) -> Row:
    """The first row that is there; what it says of the condition holds for all."""
    return next(row for row in rows if row is not None)


def condition_label(row: Row) -> str:
    """`clean`, or noise and SNR."""
    return "clean" if row["noise"] is None else f"{row['noise']} {row['snr_db']:g} dB"


def condition_order(row: Row) -> tuple[int, str, float]:
    """Sort key: clean, then by noise type in the order of the papers, from the highest SNR to the lowest."""
    if row["noise"] is None:
        return -1, "", 0.0
    known = NOISE_ORDER.index(row["noise"]) if row["noise"] in NOISE_ORDER else len(NOISE_ORDER)
    return known, row["noise"], -row["snr_db"]


def compare(systems: Sequence[list[Row]], despite: Collection[str] = ()) -> list[Comparison]:
    """Every test set and back end of the systems' rows, in the order in which they first appear.

    Parameters
    ----------
    systems : sequence of list of rows
        One a system, none of them empty.
    despite : collection of str
        Fields of `COMPARED` in which the systems may differ all the same.

    Raises
    ------
    ValueError
        If two systems differ in what has to be the same, naming them, the condition and the field; or if the rows of one
        system are not of one run.
    """
    for rows in systems:
        _check_one_run(rows)
    names = [rows[0]["system"] for rows in systems]
    pairs = dict.fromkeys((row["test_set"], row["backend"]) for rows in systems for row in rows)
    comparisons = []
    for test_set, backend in pairs:
        tables = [
            {row["condition"]: row for row in rows if (row["test_set"], row["backend"]) == (test_set, backend)}
            for rows in systems
        ]
        conditions = [[table.get(name) for table in tables] for name in dict.fromkeys(key for t in tables for key in t)]
        for rows in conditions:
            _check_comparable(rows, despite)
        conditions.sort(key=lambda rows: condition_order(first(rows)))
        comparisons.append(Comparison(test_set=test_set, backend=backend, systems=names, conditions=conditions))
    return comparisons


def _check_one_run(rows: Sequence[Row]) -> None:
    for field in OF_ONE_SYSTEM:
        values = list(dict.fromkeys(str(row[field]) for row in rows))
        if len(values) > 1:
            raise ValueError(
                f"rows of {rows[0]['system']} cannot share a table: {field} is {values[0]} and {values[1]}; run stage 7 again"
            )


def _compared(row: Row, field: str) -> object:
    """A field's value; of the normalisation without the cohort's id, a hash of the system's own embeddings."""
    return re.sub(r", cohort \w+$", "", row[field]) if field == "normalisation" else row[field]


def _check_comparable(rows: Sequence[Row | None], despite: Collection[str]) -> None:
    reference = first(rows)
    for row in rows:
        for field in COMPARED:
            if row is not None and _compared(row, field) != _compared(reference, field) and field not in despite:
                raise ValueError(
                    f"{reference['system']} and {row['system']} cannot share a table: on {row['test_set']} {row['condition']} "
                    f"({row['backend']}) {field} is {reference[field]} and {row[field]}"
                )


def table_body(comparison: Comparison) -> list[list[str]]:
    """Rows of cells: the condition, then `COLUMNS` of each system; last the mean over noisy conditions that all have."""
    body = []
    for rows in comparison.conditions:
        body.append([condition_label(first(rows)), *(cell for row in rows for cell in _cells(row))])
    noisy = [rows for rows in comparison.shared if first(rows)["noise"] is not None]
    if noisy:
        body.append([f"mean of {len(noisy)} noisy", *(cell for own in zip(*noisy) for cell in _mean_cells(own))])
    return body


def _cells(row: Row | None) -> tuple[str, ...]:
    if row is None:
        return (ABSENT,) * len(COLUMNS)
    interval = f"[{row['eer_low']:.1f}, {row['eer_high']:.1f}]"
    return f"{row['eer']:.2f}", interval, f"{row['min_dcf']['0.01']:.3f}", f"{row['min_dcf']['0.05']:.3f}"


def _mean_cells(rows: Sequence[Row]) -> tuple[str, ...]:
    eer = sum(row["eer"] for row in rows) / len(rows)
    costs = [sum(row["min_dcf"][prior] for row in rows) / len(rows) for prior in ("0.01", "0.05")]
    return f"{eer:.2f}", "", *(f"{cost:.3f}" for cost in costs)


def text_table(comparison: Comparison) -> str:
    """Aligned columns for a terminal, the systems' names above theirs."""
    header = ["condition", *COLUMNS * len(comparison.systems)]
    body = table_body(comparison)
    widths = [max(len(row[i]) for row in [header, *body]) for i in range(len(header))]
    groups = [" " * widths[0]]
    for i, name in enumerate(comparison.systems):
        own = slice(1 + i * len(COLUMNS), 1 + (i + 1) * len(COLUMNS))
        widths[own.start] = max(widths[own.start], len(name) - sum(widths[own][1:]) - 2 * (len(COLUMNS) - 1))
        groups.append(name.center(sum(widths[own]) + 2 * (len(COLUMNS) - 1)))
    lines = [
        "  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths)))
        for row in [header, *body]
    ]
    return "\n".join(["  ".join(groups).rstrip(), lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown_table(comparison: Comparison) -> str:
    """A Markdown table; the columns carry the systems' names."""
    header = ["condition", *(f"{name} {column}" for name in comparison.systems for column in COLUMNS)]
    return markdown_rows(header, table_body(comparison))


def markdown_rows(header: Sequence[str], body: Sequence[Sequence[str]], num_words: int = 1) -> str:
    """A Markdown table whose first columns hold words, the others numbers."""
    rule = ["---"] * num_words + ["---:"] * (len(header) - num_words)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *body])


def backend_table(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """A row a system and back end of the first test set: cells under `BACKEND_COLUMNS`."""
    body = []
    for comparison in comparisons:
        if comparison.test_set != comparisons[0].test_set:
            continue
        for name, rows in zip(comparison.systems, zip(*comparison.shared)):
            clean = [row for row in rows if row["noise"] is None]
            body.append(
                [name, comparison.backend, *_summary(clean), *_summary([r for r in rows if r["noise"] is not None])]
            )
    return body


def _summary(rows: Sequence[Row]) -> list[str]:
    """Mean EER, minDCF, actDCF, Cllr and minCllr of some conditions."""
    if not rows:
        return [ABSENT] * 5
    calibrated = all(row["cllr"] is not None for row in rows)
    return [
        f"{fmean(row['eer'] for row in rows):.2f}",
        f"{fmean(row['min_dcf']['0.01'] for row in rows):.3f}",
        f"{fmean(row['act_dcf']['0.01'] for row in rows):.3f}" if calibrated else ABSENT,
        f"{fmean(row['cllr'] for row in rows):.3f}" if calibrated else ABSENT,
        f"{fmean(row['min_cllr'] for row in rows):.3f}",
    ]


def footnotes(systems: Sequence[list[Row]]) -> list[str]:
    """What the numbers depend on, a line a system."""
    lines = []
    for rows in systems:
        row = rows[0]
        lines.append(
            f"{row['system']}: {row['num_target']} target and {row['num_nontarget']} nontarget trials "
            f"({row['trials_sha256'][:12]}, {row['num_dropped']} dropped), {row['crop_scheme']}, "
            f"checkpoint {row['checkpoint_sha256'][:12]}, commit {short_commit(row['commit'])}, seed {row['seed']}"
        )
    return lines + rule_notes(systems)


def rule_notes(systems: Sequence[list[Row]]) -> list[str]:
    """What each system's training breaks of a benchmark's rules, if its rows say that they were checked."""
    return [
        f"{rows[0]['system']} breaks the {rows[0]['rules']} challenge's rules: {broken}"
        for rows in systems
        for broken in rows[0].get("broken_rules", [])
    ]


def short_commit(commit: str) -> str:
    """The first digits of a commit, and whether the code was changed since; a release as it is."""
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]+", r"\1", commit)
