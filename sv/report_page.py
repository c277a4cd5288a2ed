"""The report as one HTML file: no scripts, no network, readable on a phone and on paper."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv import figures
from sv.kaldi.trials import read_trials, scores_of_trials
from sv.report import footnote, pick, table_cells
from sv.results import Row

CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
.note { background: #fff4d6; border-left: 4px solid #d9a400; padding: .6rem .8rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { border-bottom: 2px solid #999; } tbody tr:last-child { font-weight: 600; border-top: 2px solid #999; }
svg { width: 100%; height: auto; max-width: 54rem; } .grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); }
.det svg { max-width: 32rem; } pre, .small { font-size: .8rem; color: #555; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } h2, svg, tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""


@dataclass(frozen=True, kw_only=True)
class SystemResults:
    """A model folder's results, as far as the page shows them."""

    folder: Path
    rows: list[Row]
    journal: list[dict]
    config: str

    @property
    def name(self) -> str:
        """Of the system."""
        return self.rows[0]["system"]


def load_results(folder: Path) -> SystemResults:
    """Read results.json, train.jsonl and config.json of a model folder."""
    journal = folder / "train.jsonl"
    return SystemResults(
        folder=folder,
        rows=json.loads((folder / "results.json").read_text(encoding="utf-8")),
        journal=[json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
        if journal.exists()
        else [],
        config=(folder / "config.json").read_text(encoding="utf-8"),
    )


def scores_in(result: SystemResults, row: Row, data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of a row, from its score file and its set's trials."""
    name = row["test_set"] if row["noise"] is None else f"{row['test_set']}-{row['condition']}"
    trials = read_trials(data / name / "trials")
    return scores_of_trials(result.folder / "scores" / name / f"{row['backend']}.scores", trials), trials.is_target


def shown_rows(rows: list[Row], backend: str) -> list[Row]:
    """Clean and, if there are noisy conditions, the one with the highest EER."""
    picked = pick(rows, backend)
    noisy = [row for row in picked if row["noise"] is not None]
    return [row for row in picked if row["noise"] is None] + ([max(noisy, key=lambda row: row["eer"])] if noisy else [])


def html_table(cells: list[list[str]]) -> str:
    """A table that scrolls sideways where it has to."""
    header, *body = ([html.escape(cell) for cell in row] for row in cells)
    head = "".join(f"<th>{cell}</th>" for cell in header)
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def page(results: Sequence[SystemResults], data: Path, backend: str = "cosine", note: str = "") -> str:
    """The whole page."""
    rows = [result.rows for result in results]
    title = " and ".join(result.name for result in results)
    curves, histograms = [], []
    for result in results:
        for row in shown_rows(result.rows, backend):
            label = f"{result.name}, {'clean' if row['noise'] is None else row['condition']}"
            scores, labels = scores_in(result, row, data)
            curves.append((label, scores, labels))
            histograms.append(figures.score_histogram(label, scores, labels))
    sections = [
        (
            "EER by noise condition",
            html_table(table_cells(rows, backend)) + f'<p class="small">{html.escape(footnote(rows))}</p>',
        ),
        ("EER over SNR", figures.eer_over_snr(rows, backend) if any(row["noise"] for row in rows[0]) else ""),
        ("Detection error trade-off", f'<div class="det">{figures.det_curves(curves)}</div>'),
        ("Scores", f'<div class="grid">{"".join(histograms)}</div>'),
        ("Training", figures.training_curves([(result.name, result.journal) for result in results])),
        ("Segment distances (the published evaluation's score)", html_table(table_cells(rows, "neg_mean_l2"))),
        (
            "Configuration",
            "".join(
                f"<details><summary>{r.name}</summary><pre>{html.escape(r.config)}</pre></details>" for r in results
            ),
        ),
    ]
    body = "".join(f"<h2>{heading}</h2>{content}" for heading, content in sections if content)
    label = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><title>{html.escape(title)}</title><style>{CSS}</style></head><body><h1>{html.escape(title)}</h1>'
        f"{label}<p>95 % intervals are bootstrapped over speakers. Dotted curves and the second histogram of a system: its "
        f"hardest condition.</p>{body}</body></html>\n"
    )
