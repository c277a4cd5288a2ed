"""Results of several systems side by side: rows of results.json to tables in text and Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sv.files import write_text
from sv.results import Row

NOISE_ORDER = ("noise", "music", "babble", "nonspeech")
COLUMNS = ("EER %", "[95 %]", "minDCF .01", "minDCF .05")  # of each system
ABSENT = "-"


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


def compare(systems: Sequence[list[Row]]) -> list[Comparison]:
    """Every test set and back end of the systems' rows, in the order in which they first appear.

    Parameters
    ----------
    systems : sequence of list of rows
        One a system, none of them empty.

    Raises
    ------
    ValueError
        If two systems were scored on different trials of one condition, naming both and the condition.
    """
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
            _check_same_trials(rows)
        conditions.sort(key=lambda rows: condition_order(first(rows)))
        comparisons.append(Comparison(test_set=test_set, backend=backend, systems=names, conditions=conditions))
    return comparisons


def _check_same_trials(rows: Sequence[Row | None]) -> None:
    reference = first(rows)
    for row in rows:
        if row is not None and row["trials_sha256"] != reference["trials_sha256"]:
            raise ValueError(
                f"{reference['system']} and {row['system']} cannot share a table: "
                f"{row['test_set']} {row['condition']} was scored on different trials"
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
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *table_body(comparison)])


def footnotes(systems: Sequence[list[Row]]) -> list[str]:
    """What the numbers depend on, a line a system."""
    lines = []
    for rows in systems:
        row = rows[0]
        lines.append(
            f"{row['system']}: {row['num_target']} target and {row['num_nontarget']} nontarget trials "
            f"({row['trials_sha256'][:12]}), checkpoint {row['checkpoint_sha256'][:12]}, "
            f"commit {short_commit(row['commit'])}, seed {row['seed']}"
        )
    return lines + rule_notes(systems)


def rule_notes(systems: Sequence[list[Row]]) -> list[str]:
    """What each system's training breaks of the benchmark's rules, if they were checked."""
    return [
        f"{rows[0]['system']} breaks the {rows[0]['rules']} challenge's rules: {broken}"
        for rows in systems
        for broken in rows[0].get("broken_rules", [])
    ]


def short_commit(commit: str | None) -> str:
    """The first digits of a commit, and whether the code was changed since."""
    return "unknown" if commit is None else commit[:12] + ("-dirty" if commit.endswith("-dirty") else "")


def update_markdown(path: str | Path, key: str, text: str) -> None:
    """Replace (or append) the generated block named `key` of a Markdown file.

    Raises
    ------
    ValueError
        If the block begins in the file but does not end.
    """
    path = Path(path)
    begin, end = (
        f"<!-- generated from results.json of {key}: begin -->",
        f"<!-- generated from results.json of {key}: end -->",
    )
    block = f"{begin}\n{text}\n{end}"
    old = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    before, found, rest = old.partition(begin)
    if not found:
        write_text(path, f"{old.rstrip()}\n\n{block}\n")
        return
    _, closed, after = rest.partition(end)
    if not closed:
        raise ValueError(f"{path}: the line {end!r} is missing; put it back, or remove {begin!r} too")
    write_text(path, before + block + after)
