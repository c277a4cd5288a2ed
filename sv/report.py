"""Results of several systems side by side: rows to tables in text and Markdown."""

from collections.abc import Sequence
from pathlib import Path

from sv.files import write_text
from sv.results import Row

NOISE_ORDER = ("noise", "music", "babble", "nonspeech")
BEGIN, END = "<!-- generated from results.json: begin -->", "<!-- generated from results.json: end -->"


def condition_label(row: Row) -> str:
    """`clean`, or noise and SNR."""
    return "clean" if row["noise"] is None else f"{row['noise']} {row['snr_db']:g} dB"


def condition_order(row: Row) -> tuple:
    """Sort key: clean, then by noise type in the order of the papers, from the highest SNR to the lowest."""
    if row["noise"] is None:
        return (-1, "", 0.0)
    known = NOISE_ORDER.index(row["noise"]) if row["noise"] in NOISE_ORDER else len(NOISE_ORDER)
    return (known, row["noise"], -row["snr_db"])


def check_comparable(systems: Sequence[list[Row]]) -> None:
    """Raise ValueError if two systems were scored on different trials of one condition, or on different conditions."""
    trials = [{(row["test_set"], row["condition"]): row["trials_sha256"] for row in rows} for rows in systems]
    for rows, other in zip(systems[1:], trials[1:]):
        if differing := [key for key in trials[0] | other if trials[0].get(key) != other.get(key)]:
            names = f"{systems[0][0]['system']} and {rows[0]['system']}"
            raise ValueError(f"{names} cannot share a table: other trials or conditions, e.g. {' '.join(differing[0])}")


def pick(rows: list[Row], backend: str) -> list[Row]:
    """One back end's rows in the order of the table."""
    return sorted((row for row in rows if row["backend"] == backend), key=condition_order)


def table_cells(systems: Sequence[list[Row]], backend: str) -> list[list[str]]:
    """Header and rows: condition, then EER with interval and minDCF(0.01) of each system; then the mean over noises."""
    picked = [pick(rows, backend) for rows in systems]
    header = ["condition"]
    for rows in picked:
        header += [f"{rows[0]['system']} EER %", "95 %", "minDCF"]
    body = []
    for aligned in zip(*picked):
        cells = [condition_label(aligned[0])]
        for row in aligned:
            interval = f"{row['eer_low']:.1f}-{row['eer_high']:.1f}"
            cells += [f"{row['eer']:.2f}", interval, f"{row['min_dcf']['0.01']:.3f}"]
        body.append(cells)
    means = ["mean of noisy"]
    for rows in picked:
        noisy = [row for row in rows if row["noise"] is not None]
        if not noisy:
            return [header, *body]
        means += [_mean([row["eer"] for row in noisy], 2), "", _mean([row["min_dcf"]["0.01"] for row in noisy], 3)]
    return [header, *body, means]


def _mean(values: list[float], digits: int) -> str:
    return f"{sum(values) / len(values):.{digits}f}"


def text_table(cells: list[list[str]]) -> str:
    """Aligned columns for a terminal."""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(cell.ljust(w) if not i else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths)))
        for row in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown_table(cells: list[list[str]]) -> str:
    """A Markdown table."""
    header, *body = cells
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *body])


def footnote(systems: Sequence[list[Row]]) -> str:
    """What the numbers depend on, in a line a system."""
    lines = []
    for rows in systems:
        row = rows[0]
        lines.append(
            f"{row['system']}: {row['num_target']} target and {row['num_nontarget']} nontarget trials, minDCF at p_target 0.01, "
            f"c_miss 1, c_fa 1; trials {row['trials_sha256'][:12]}, checkpoint {row['checkpoint_sha256'][:12]}, "
            f"commit {(row['commit'] or 'unknown')[:12]}, seed {row['seed']}"
        )
    return "\n".join(lines)


def update_markdown(path: str | Path, key: str, text: str) -> None:
    """Replace (or append) the generated block named `key` of a Markdown file."""
    path = Path(path)
    begin = BEGIN.replace("results.json", f"results.json of {key}")
    block = f"{begin}\n{text}\n{END}"
    old = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    if begin in old:
        head, _, rest = old.partition(begin)
        new = head + block + rest.partition(END)[2]
    else:
        new = f"{old.rstrip()}\n\n{block}\n"
    write_text(path, new)
