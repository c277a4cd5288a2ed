"""Pieces of the report's HTML: style, tables, matrices of noise type by SNR."""

import html
from collections.abc import Callable, Sequence

from sv.results.rows import Row
from sv.results.tables import Comparison, first

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #222;
  max-width: 66rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .6rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .8rem; border-bottom: 1px solid #ddd; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; overflow-wrap: anywhere; }
.note { background: #fff4d6; border-left: 4px solid #d9a400; padding: .6rem .8rem; }
.verdict { background: #eef5f9; border-left: 4px solid #0b6e99; padding: .6rem .8rem; }
.small { font-size: .85rem; color: #555; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .16rem .5rem; text-align: right; border-top: 1px solid #eee; vertical-align: top; }
th { font-weight: 500; }
thead th { border-top: 0; border-bottom: 2px solid #999; }
th:first-child, td:first-child, .words { text-align: left; }
th { vertical-align: bottom; }
.words { overflow-wrap: anywhere; white-space: pre-line; }
thead .words, .facts td:first-child { overflow-wrap: normal; }
.numbers td { white-space: nowrap; } .numbers td.words { white-space: pre-line; overflow-wrap: normal; }
.matrix { width: 100%; table-layout: fixed; }
.matrix th, .matrix td { padding: .2rem .15rem; text-align: center; }
.matrix th:first-child { text-align: left; width: 5.2rem; vertical-align: top; }
.matrix small { display: block; font-size: .68rem; line-height: 1.2; color: #444; white-space: nowrap; }
.matrix .mean { border-left: 2px solid #999; }
.better { background: #d8ebf4; } .worse { background: #fbe3cf; } .same { color: #666; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr)); gap: .6rem 1.6rem; }
.grid > * { min-width: 0; }
svg { display: block; width: 100%; height: auto; max-width: 30rem; }
.bar { display: block; height: .6rem; margin: .4rem 0 0; background: #b0413e; }
.key span { margin-right: 1.2rem; white-space: nowrap; }
.key i { display: inline-block; width: 1.4rem; height: .25rem; vertical-align: middle; margin-right: .4rem; }
pre, code { font-size: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  body { padding: .7rem; } table { font-size: .8rem; } th, td { padding: .16rem .3rem; } .matrix small { font-size: .62rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; } table { font-size: 8pt; } .scroll { overflow: visible; }
  svg, tr, .note, .keep { break-inside: avoid; } h2, h3, .key { break-after: avoid; } .grid { grid-template-columns: 1fr 1fr; }
  details { display: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
Cell = tuple[str, str, str]  # text, small print below it, class or style


def table(header: Sequence[str], rows: Sequence[Sequence[str]], num_words: int = 1) -> str:
    """A table whose first columns hold words, the others numbers; it scrolls sideways where it has to."""

    def line(tag: str, cells: Sequence[str]) -> str:
        kinds = [' class="words"' if i < num_words else "" for i in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{kind}>{html.escape(c)}</{tag}>" for kind, c in zip(kinds, cells)) + "</tr>"

    kind = "numbers" if num_words < len(header) else "facts"
    body = "".join(line("td", row) for row in rows)
    return f'<div class="scroll"><table class="{kind}"><thead>{line("th", header)}</thead><tbody>{body}</tbody></table></div>'


def matrix(conditions: Sequence[tuple[Row, object]], cell: Callable[[Sequence], Cell], corner: str) -> str:
    """Noise types down, SNRs across, means at the right; clean speech in a line of its own.

    Parameters
    ----------
    conditions : sequence of (Row, value)
        The row says which condition the value belongs to.
    cell : callable
        Of the values of one condition or of several, for the means.
    corner : str
        Above the noise types.
    """
    clean = [value for row, value in conditions if row["noise"] is None]
    noisy = {(row["noise"], row["snr_db"]): value for row, value in conditions if row["noise"] is not None}
    noises = list(dict.fromkeys(noise for noise, _ in noisy))
    snrs = sorted({snr for _, snr in noisy}, reverse=True)
    means = len(noisy) > 1
    head = "".join(f"<th>{snr:g} dB</th>" for snr in snrs) + ('<th class="mean">mean</th>' if means else "")
    lines = [f"<tr><th>{html.escape(corner)}</th>{head}</tr>"]
    if clean:
        width = max(1, len(snrs) + means)
        lines.append(f"<tr><th>clean</th>{_td(cell(clean), colspan=width)}</tr>")
    groups = [(html.escape(noise), [noisy.get((noise, snr)) for snr in snrs]) for noise in noises]
    for name, values in groups:
        known = [value for value in values if value is not None]
        cells = "".join(_td(cell([value])) if value is not None else "<td>-</td>" for value in values)
        lines.append(f"<tr><th>{name}</th>{cells}{_td(cell(known), mean=True) if means else ''}</tr>")
    if len(noises) > 1:
        columns = [[noisy[noise, snr] for noise in noises if (noise, snr) in noisy] for snr in snrs]
        cells = "".join(_td(cell(values)) for values in columns) + _td(cell(list(noisy.values())), mean=True)
        lines.append(f"<tr><th>mean</th>{cells}</tr>")
    return f'<table class="matrix">{"".join(lines)}</table>'


def _td(cell: Cell, mean: bool = False, colspan: int = 1) -> str:
    text, small, look = cell
    is_class = ":" not in look
    kinds = " ".join(filter(None, ["mean" if mean else "", look if is_class else ""]))
    attributes = (
        (f' class="{kinds}"' if kinds else "")
        + ("" if is_class else f' style="{look}"')
        + (f' colspan="{colspan}"' if colspan > 1 else "")
    )
    return f"<td{attributes}>{html.escape(text)}{f'<small>{html.escape(small)}</small>' if small else ''}</td>"


def brief(value: float) -> str:
    """A number in two digits, for small print: 12, 3.4, .56."""
    digits = 0 if abs(value) >= 9.95 else 1 if abs(value) >= 0.995 else 2
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if digits == 2 and float(text) else "0" if digits == 2 else text


def signed(value: float, digits: int) -> str:
    """A number with its sign, a proper minus."""
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def of_system(comparison: Comparison, index: int) -> list[tuple[Row, Row]]:
    """The conditions that a system has, as `matrix` takes them."""
    return [(first(rows), rows[index]) for rows in comparison.conditions if rows[index] is not None]


def shade(value: float, highest: float) -> str:
    """A background that darkens with the value."""
    return f"background:rgba(217,115,13,{0.45 * min(1.0, value / highest) if highest > 0 else 0:.2f})"
