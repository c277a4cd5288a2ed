"""The report as one HTML file: no scripts, no network, readable on a phone and on paper."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sv import figures
from sv.config import load_json
from sv.files import sha256_of
from sv.kaldi.trials import read_trials, scores_of_trials
from sv.report import COLUMNS, Comparison, compare, condition_label, first, short_commit, table_body
from sv.report_enrolment import enrolment_sections
from sv.results import Row, read_results

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #222;
  max-width: 64rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .6rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .8rem; border-bottom: 1px solid #ddd; }
.note { background: #fff4d6; border-left: 4px solid #d9a400; padding: .6rem .8rem; }
.small { font-size: .85rem; color: #555; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .16rem .6rem; text-align: right; border-top: 1px solid #eee; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
th[colspan] { text-align: center; }
thead tr:last-child th { border-bottom: 2px solid #999; font-weight: 500; }
thead tr:first-child th { border-top: 0; }
.first { border-left: 1px solid #ccc; }
.noise td { border-top: 1px solid #aaa; }
.mean td { font-weight: 600; border-top: 2px solid #999; }
.facts th, .facts td { white-space: normal; text-align: left; vertical-align: top; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr)); gap: .6rem; }
svg { display: block; width: 100%; height: auto; max-width: 30rem; }
.key span { margin-right: 1.2rem; white-space: nowrap; }
.key i { display: inline-block; width: 1.4rem; height: .25rem; vertical-align: middle; margin-right: .4rem; }
pre { font-size: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 40rem) { table { font-size: .8rem; } th, td { padding: .16rem .4rem; } }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; } table { font-size: 8pt; } .scroll { overflow: visible; }
  svg, tr, .note { break-inside: avoid; } h2, .key { break-after: avoid; } .grid { grid-template-columns: 1fr 1fr; }
  th:first-child, td:first-child { position: static; } details { display: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


@dataclass(frozen=True, kw_only=True)
class SystemResults:
    """What a model folder says of its system.

    Attributes
    ----------
    folder : Path
    rows : list of Row
        Of results.json; not empty.
    journal : list of dict
        Of train.jsonl; empty for a system that was not trained here.
    config : dict
        Of config.json.
    """

    folder: Path
    rows: list[Row]
    journal: list[dict[str, Any]]
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the system."""
        return self.rows[0]["system"]


def load_results(folder: Path) -> SystemResults:
    """Read results.json, train.jsonl and config.json of a model folder.

    Raises
    ------
    ValueError
        If results.json holds no rows, or a file cannot be read as what it should be.
    """
    rows = read_results(folder / "results.json")
    if not rows:
        raise ValueError(f"{folder}/results.json holds no rows; run stage 7 again")
    path = folder / "train.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    journal = [json.loads(line) for line in lines]
    return SystemResults(folder=folder, rows=rows, journal=journal, config=load_json(folder / "config.json"))


def read_score_list(result: SystemResults, row: Row, data: Path) -> figures.ScoreList:
    """Scores of a row, from its score file and its set's trials.

    Raises
    ------
    ValueError
        If the trials are not those that were scored.
    """
    name = row["test_set"] if row["noise"] is None else f"{row['test_set']}-{row['condition']}"
    path = data / name / "trials"
    if sha256_of(path) != row["trials_sha256"]:
        raise ValueError(f"{path}: changed since {result.name} was scored on it; run stage 7 again")
    trials = read_trials(path)
    scores = scores_of_trials(result.folder / "scores" / name / f"{row['backend']}.scores", trials)
    return figures.ScoreList(
        system=result.name, condition=condition_label(row), scores=scores, is_target=trials.is_target
    )


def shown_conditions(comparison: Comparison) -> list[list[Row]]:
    """Clean and the noisy condition with the highest mean EER, of those that every system has."""
    clean = [rows for rows in comparison.shared if first(rows)["noise"] is None]
    noisy = [rows for rows in comparison.shared if first(rows)["noise"] is not None]
    return clean + sorted(noisy, key=lambda rows: sum(row["eer"] for row in rows))[-1:]


def results_table(comparison: Comparison) -> str:
    """The table of results; it scrolls sideways where it has to, under the conditions' names."""
    groups = "".join(
        f'<th class="first" colspan="{len(COLUMNS)}">{html.escape(name)}</th>' for name in comparison.systems
    )
    columns = "".join(_cells("th", COLUMNS) for _ in comparison.systems)
    lines, noise = [], None
    labels = [first(rows) for rows in comparison.conditions]
    for i, (condition, *cells) in enumerate(table_body(comparison)):
        kind = "mean" if i == len(labels) else "noise" if labels[i]["noise"] != noise else ""
        noise = None if i == len(labels) else labels[i]["noise"]
        own = (cells[at : at + len(COLUMNS)] for at in range(0, len(cells), len(COLUMNS)))
        tds = "".join(_cells("td", part) for part in own)
        lines.append(f'<tr class="{kind}"><td>{html.escape(condition)}</td>{tds}</tr>')
    head = f"<tr><th></th>{groups}</tr><tr><th>condition</th>{columns}</tr>"
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'


def _cells(tag: str, texts: Sequence[str]) -> str:
    """A system's cells, a line on their left."""
    cells = [f"<{tag}>{html.escape(text)}</{tag}>" for text in texts]
    return "".join(cells).replace(f"<{tag}>", f'<{tag} class="first">', 1)


def facts_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of words."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="facts"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def colour_key(names: Sequence[str]) -> str:
    """Which colour is which system."""
    swatches = "".join(
        f'<span><i style="background:{figures.colour_of(i)}"></i>{html.escape(name)}</span>'
        for i, name in enumerate(names)
    )
    return f'<p class="key">{swatches}</p>'


def flatten(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested keys as dotted ones, values as JSON."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        dotted = f"{prefix}{key}"
        flat |= flatten(value, f"{dotted}.") if isinstance(value, dict) else {dotted: json.dumps(value)}
    return flat


def provenance(results: Sequence[SystemResults]) -> str:
    """What each system's numbers come from, and where the configurations differ."""
    facts = []
    for result in results:
        row, steps = result.rows[0], [record["step"] for record in result.journal]
        held_out = [record["valid_eer"] for record in result.journal if "valid_eer" in record]
        training = f"{max(steps)} steps, best held-out EER {min(held_out):.2f} %" if held_out else "not recorded"
        hashes = (row["checkpoint_sha256"][:12], short_commit(row["commit"]), str(row["seed"]))
        facts.append([result.name, training, *hashes])
    flat = [flatten(result.config) for result in results]
    keys = [key for key in dict.fromkeys(key for table in flat for key in table) if key != "name"]
    differing = [
        [key, *(table.get(key, "-") for table in flat)] for key in keys if len({table.get(key) for table in flat}) > 1
    ]
    names = [result.name for result in results]
    tables = [facts_table(["system", "training", "checkpoint", "commit", "seed"], facts)]
    if differing:
        tables.append("<p>Where the configurations differ:</p>" + facts_table(["", *names], differing))
    details = "".join(
        f"<details><summary>{html.escape(result.name)}: whole configuration</summary>"
        f"<pre>{html.escape(json.dumps(result.config, indent=1))}</pre></details>"
        for result in results
    )
    return "".join(tables) + details


def comparison_sections(results: Sequence[SystemResults], comparison: Comparison, data: Path) -> list[tuple[str, str]]:
    """Table and figures of one test set: (heading, content)."""
    key, row = colour_key(comparison.systems), first(comparison.conditions[0])
    trials = f"{row['num_target']} target and {row['num_nontarget']} nontarget trials in each condition."
    sections = [("Error rates by noise condition", f'{results_table(comparison)}<p class="small">{trials}</p>')]
    if comparison.noises:
        panels = "".join(figures.eer_over_snr(comparison, noise) for noise in comparison.noises)
        legend = '<p class="small">Bands: 95 % intervals. Dashed: without noise.</p>'
        sections.append(("EER over SNR", f'{key}<div class="grid">{panels}</div>{legend}'))
    shown = shown_conditions(comparison)
    lists = [read_score_list(results[i], rows[i], data) for i in range(len(results)) for rows in shown]
    if lists:
        lines = dict(zip(dict.fromkeys(item.condition for item in lists), figures.LINES))
        legend = "; ".join(f"{line}: {html.escape(condition)}" for condition, line in lines.items())
        det = f'{key}{figures.det_curves(lists)}<p class="small">{legend[0].upper()}{legend[1:]}.</p>'
        sections.append(("Detection error trade-off", det))
        sections.append(("Scores", f'<div class="grid">{"".join(_histograms(lists))}</div>'))
    return sections


def _histograms(lists: Sequence[figures.ScoreList]) -> list[str]:
    drawn = []
    for item in lists:
        own = [other.scores for other in lists if other.system == item.system]
        limits = float(min(scores.min() for scores in own)), float(max(scores.max() for scores in own))
        drawn.append(figures.score_histogram(item, limits))
    return drawn


def training_section(results: Sequence[SystemResults]) -> str:
    """Loss and held-out EER over steps; '' if no system was trained here."""
    journals = [result.journal for result in results]
    curves = [
        figures.training_curve(journals, name, label)
        for name, label in (("loss", "training loss"), ("valid_eer", "held-out EER (%)"))
    ]
    panels = "".join(curves)
    return f'{colour_key([result.name for result in results])}<div class="grid">{panels}</div>' if panels else ""


def page(results: Sequence[SystemResults], data: Path, note: str = "") -> str:
    """The whole page.

    Parameters
    ----------
    results : sequence of SystemResults
    data : Path
        Folder of the data directories, whose trials the score files are read with.
    note : str
        Shown at the top, for instance what the corpus is not.

    Raises
    ------
    ValueError
        If the systems cannot be compared, or their trials changed.
    """
    main, *others = compare([result.rows for result in results])
    sections = comparison_sections(results, main, data)
    for other in others:
        sections.append((f"{other.test_set}, scored by {other.backend}", results_table(other)))
    sections += enrolment_sections(results, data)
    sections += [("Training", training_section(results)), ("Where the numbers come from", provenance(results))]
    title = html.escape(f"{' and '.join(result.name for result in results)} on {main.test_set}")
    label = f'<p class="note">{html.escape(note)}</p>' if note else ""
    intro = (
        f"<p>Scored by {html.escape(main.backend)}. EER in percent, with its 95 % interval from a bootstrap over speakers; "
        "minDCF normalised, at target priors 0.01 and 0.05 with unit costs. Lower is better.</p>"
    )
    body = "".join(
        f"<section><h2>{html.escape(heading)}</h2>{content}</section>" for heading, content in sections if content
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><title>{title}</title><style>{CSS}</style></head>\n'
        f"<body><h1>{title}</h1>{label}{intro}{body}</body></html>\n"
    )
