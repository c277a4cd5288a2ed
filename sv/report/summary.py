"""Head of the page: the verdict in a sentence, and each system in a line per back end."""

from collections.abc import Mapping, Sequence

from sv.report.blocks import Section, Table, Text
from sv.report.rates import p_text
from sv.results.comparison import Comparison
from sv.results.conditions import condition_label, is_clean, kind_of, snr_label
from sv.results.means import averaged, averaged_text
from sv.results.rows import Row
from sv.results.tables import ABSENT, BACKEND_LEGENDS, EER, INTERVAL, MIN_DCF, interval_cell
from sv.results.verdicts import SIGNIFICANT, Replicates, Verdict, winner


def verdict_sentence(comparison: Comparison, drawn: Replicates | None) -> str:
    """The system that errs least, by how much, whether a paired test supports it, and the condition that it errs most in.

    Parameters
    ----------
    comparison : Comparison
    drawn : Replicates, optional
        Of the conditions that all systems share; None for one system.
    """
    if len(comparison.systems) == 1:
        rows = [row for (row,) in comparison.conditions]
        parts = [f"{comparison.systems[0]}: EER {_mean(rows)}", *_clean(rows), *_worst(rows)]
        return "; ".join([*parts, "one system alone is compared with nothing"]) + "."
    if drawn is None:
        return "The systems share no condition: nothing says which of them errs least."
    best, found = winner(drawn)
    rows = [own[best] for own in comparison.shared]
    parts = [_won(comparison.systems[best], rows, found), *_clean(rows), *_worst(rows)]
    return "; ".join(parts) + "."


def _mean(rows: Sequence[Row]) -> str:
    """Mean EER of a system's rows, and what it is over."""
    _, noisy = averaged(rows)
    return f"{EER.cell(noisy or rows)} % {f'in {averaged_text(rows)}' if noisy else 'on clean speech'}"


def _won(name: str, rows: Sequence[Row], found: Sequence[Verdict]) -> str:
    nearest = max(found, key=lambda verdict: verdict.overall.difference)
    less = f"{-nearest.overall.difference:.2f} points less than {nearest.other}{', the next' * (len(found) > 1)}"
    tests, one = (
        f"{'the ' * (len(found) == 1)}paired test{'s' * (len(found) > 1)} after Holm's correction",
        "s" * (len(found) == 1),
    )
    unsupported = [verdict for verdict in found if verdict.overall.p_value >= SIGNIFICANT]
    if not unsupported:
        p_value = p_text(max(verdict.overall.p_value for verdict in found))
        whom = {1: "", 2: " against both others"}.get(len(found), f" against all {len(found)} others")
        return f"{name} errs least: EER {_mean(rows)}, {less}; {tests} support{one} it{whom} ({p_value})"
    against = " and ".join(f"{verdict.other} ({p_text(verdict.overall.p_value)})" for verdict in unsupported)
    text = f"{name} has the least EER, {_mean(rows)}, {less}, but {tests} show{one} no difference from {against}"
    others = [verdict.other for verdict in found if verdict not in unsupported]
    return f"{text}; it errs less than {' and '.join(others)}" if others else text


def _clean(rows: Sequence[Row]) -> list[str]:
    """EER on clean speech, where there is more to say than that."""
    own = [row for row in rows if is_clean(row)]
    return [f"on clean speech {EER.cell(own)} %"] if own and len(rows) > 1 else []


def _worst(rows: Sequence[Row]) -> list[str]:
    if len(rows) < 2:
        return []
    row = max(rows, key=lambda row: row["eer"])
    return [f"{_where(row, ' at ')} is its worst: {EER.cell([row])} %"]


def _where(row: Row, between: str) -> str:
    """Condition of a row, with words of the caller's between the noise and its SNR."""
    return condition_label(row) if row["snr_db"] is None else f"{kind_of(row)}{between}{snr_label(row['snr_db'])}"


def glance_section(comparisons: Sequence[Comparison], papers: Mapping[str, str]) -> Section:
    """Each system by the tables' own back end and by its paper's: clean speech, the mean over noise, the worst condition.

    Parameters
    ----------
    comparisons : sequence of Comparison
    papers : mapping of str to str
        Back end of each system's paper, for those of which it is known.
    """
    main = comparisons[0]
    tables = {each.backend: each for each in comparisons if each.test_set == main.test_set}
    lines, notes = [], []
    for i, name in enumerate(main.systems):
        paper = papers.get(name)
        for backend in dict.fromkeys((main.backend, paper or main.backend)):
            rows = [own[i] for own in tables[backend].shared] if backend in tables else []
            if rows:
                lines.append((f"{name}\n{backend}{', as its paper' * (backend == paper)}", rows))
            elif backend == paper:
                notes.append(f"The paper of {name} scores by {paper}, which was not done here.")
    if not lines:
        return Section("At a glance")
    if unknown := [name for name in main.systems if name not in papers]:
        notes.append(f"No paper's back end is on record for {', '.join(unknown)}.")
    return Section("At a glance", [_glance(lines), *_notes(lines, notes)], essential=True)


def _glance(lines: Sequence[tuple[str, Sequence[Row]]]) -> Table:
    """Table of lines, each a name and its rows; without columns on noise where there is none."""
    mean, noisy = averaged(lines[0][1])
    header = ["system\nback end", "\n".join(["clean", EER.header, f"[{INTERVAL}]", MIN_DCF.header])]
    header += ["\n".join([mean, EER.header, "", MIN_DCF.header]), f"worst\n{EER.header}"] if noisy else []
    body = []
    for name, rows in lines:
        clean, (_, noisy) = [row for row in rows if is_clean(row)], averaged(rows)
        cells = [f"{EER.cell(clean)}\n{interval_cell(clean[0])}\n{MIN_DCF.cell(clean)}" if clean else ABSENT]
        if noisy:
            row = max(rows, key=lambda row: row["eer"])
            where = _where(row, "\n")
            cells += [f"{EER.cell(noisy)}\n\n{MIN_DCF.cell(noisy)}", f"{EER.cell([row])}\n{where}"]
        body.append([name, *cells])
    return Table([cell.replace(" ", "\u00a0") for cell in header], body)


def _notes(lines: Sequence[tuple[str, Sequence[Row]]], notes: Sequence[str]) -> list[Text]:
    mean, noisy = averaged(lines[0][1])
    legend = f"{BACKEND_LEGENDS[mean][0].upper()}{BACKEND_LEGENDS[mean][1:]}." if noisy else ""
    return [Text(" ".join(filter(None, [legend, *notes])))] if legend or notes else []
