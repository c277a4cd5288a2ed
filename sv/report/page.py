"""The report as one HTML file: no scripts, no network, readable on a phone and on paper."""

import html
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from sv.report import figures
from sv.report.enhancement import enhancement_sections
from sv.report.enrolment import enrolment_sections
from sv.report.html import CSS, Cell, brief, matrix, of_system, shade, signed, table
from sv.results.breakdown import tables_of
from sv.results.folder import ScoreList, SystemResults, Verdicts, read_score_list, shown_conditions, verdicts
from sv.results.rows import CALIBRATED, Row
from sv.results.tables import (
    ABSENT,
    BACKEND_MEASURES,
    Comparison,
    backend_table,
    compare,
    condition_label,
    rule_notes,
    short_commit,
)
from sv.scoring.errors import SpeakerErrors, eer_threshold, speaker_errors, worst_trials

SIGNIFICANT = 0.05
NUM_SPEAKERS, NUM_TRIALS = 8, 5  # that are listed as the worst
Section = tuple[str, str]  # heading, content


def colour_key(names: Sequence[str]) -> str:
    """Which colour is which system."""
    swatches = "".join(
        f'<span><i style="background:{figures.colour_of(i)}"></i>{html.escape(name)}</span>'
        for i, name in enumerate(names)
    )
    return f'<p class="key">{swatches}</p>'


def paragraph(text: str, kind: str = "small") -> str:
    """Text under or above a figure."""
    return f'<p class="{kind}">{html.escape(text)}</p>'


def rate_cell(value: Callable[[Row], float], bounds: Callable[[Row], tuple], digits: int, highest: float) -> Callable:
    """Cells of a matrix of rates: value, its interval below, a shade; of several conditions their mean alone."""

    def cell(rows: Sequence[Row]) -> Cell:
        mean = fmean(map(value, rows))
        low, high = bounds(rows[0])
        interval = f"{brief(low)}\u2013{brief(high)}"
        return f"{mean:.{digits}f}", interval if len(rows) == 1 else "", shade(mean, highest)

    return cell


def rates_section(comparison: Comparison) -> str:
    """EER and minDCF by noise type and SNR, a matrix a system."""
    rows = [row for condition in comparison.conditions for row in condition if row]
    rates: list[tuple[str, Callable, Callable, int]] = [
        ("EER (%)", lambda row: row["eer"], lambda row: (row["eer_low"], row["eer_high"]), 1)
    ]
    for point in ("0.01", "0.05"):
        rates.append((
            f"minDCF, prior {point}", lambda row, p=point: row["min_dcf"][p], lambda row, p=point: row["min_dcf_interval"][p], 2,
        ))  # fmt: skip
    parts = []
    for title, value, bounds, digits in rates:
        cell = rate_cell(value, bounds, digits, max(map(value, rows)))
        panels = "".join(
            f'<div class="keep"><h3>{html.escape(f"{name}: {title}")}</h3>{matrix(of_system(comparison, i), cell, "")}</div>'
            for i, name in enumerate(comparison.systems)
        )
        parts.append(f'<div class="grid">{panels}</div>')
    row = rows[0]
    trials = (
        f"{row['num_target']} target and {row['num_nontarget']} nontarget trials of {row['num_speakers']} speakers in each "
        f"condition, {row['num_dropped']} dropped. Small print: 95 % intervals, from a bootstrap over speakers."
    )
    return "".join(parts) + paragraph(trials)


def verdict_text(first_name: str, verdict: Verdicts) -> str:
    """The outcome of the comparison in a sentence."""
    test, noisy = verdict.overall, sum(row["noise"] is not None for row, _ in verdict.conditions)
    where = f"on average over {noisy} noisy conditions" if noisy else "on clean speech"
    bounds = f"{signed(test.low, 2)} to {signed(test.high, 2)}"
    numbers = f"{signed(test.difference, 2)} points of EER, 95 % interval {bounds}, {p_text(test.p_value)}"
    if test.p_value >= SIGNIFICANT:
        return f"{first_name} and {verdict.other}: no difference shown {where} ({numbers})."
    better, worse = (first_name, verdict.other) if test.difference < 0 else (verdict.other, first_name)
    return f"{better} errs less than {worse} {where}: {first_name} minus {verdict.other} is {numbers}."


def p_text(p_value: float) -> str:
    """A p-value in words."""
    return "p\u00a0<\u00a00.001" if p_value < 0.001 else f"p\u00a0=\u00a0{p_value:.3f}"


def verdict_cell(tests: Sequence) -> Cell:
    """Difference and interval; coloured where it is significant."""
    difference = fmean(test.difference for test in tests)
    if len(tests) > 1:
        return signed(difference, 1), "", ""
    (test,) = tests
    kind = "same" if test.p_value >= SIGNIFICANT else "better" if test.difference < 0 else "worse"
    return signed(difference, 1), f"\u00b1 {brief((test.high - test.low) / 2)}", kind


def paired_section(first_name: str, found: Sequence[Verdicts]) -> str:
    """Differences by condition, a matrix a compared system."""
    panels = "".join(
        f'<div class="keep"><h3>{html.escape(f"{first_name} minus {verdict.other}: EER (points)")}</h3>'
        f"{matrix(verdict.conditions, verdict_cell, '')}</div>"
        for verdict in found
    )
    legend = (
        f"Blue: {first_name} errs less; orange: it errs more; white: no difference shown at the 5 % level, after Holm's "
        "correction for the number of conditions. Same trials and the same draws of speakers for both systems; Student's t "
        "over speakers. Small print: 95 % intervals. Means are not tested here but above."
    )
    return f'<div class="grid">{panels}</div>{paragraph(legend)}' if found else ""


def snr_section(comparison: Comparison) -> str:
    """EER over SNR, a panel a noise type; '' without noise."""
    panels = "".join(figures.eer_over_snr(comparison, noise) for noise in comparison.noises)
    legend = paragraph("Bands: 95 % intervals. Dashed: without noise.")
    return f'{colour_key(comparison.systems)}<div class="grid">{panels}</div>{legend}' if panels else ""


def det_section(names: Sequence[str], lists: Sequence[ScoreList]) -> str:
    """DET curves of the shown conditions."""
    lines = dict(zip(dict.fromkeys(item.condition for item in lists), figures.LINES))
    legend = "; ".join(f"{line}: {condition}" for condition, line in lines.items())
    return f"{colour_key(names)}{figures.det_curves(lists)}{paragraph(f'{legend[0].upper()}{legend[1:]}.')}"


def histogram_section(lists: Sequence[ScoreList]) -> str:
    """Score histograms, a system's on one axis."""
    drawn = []
    for item in lists:
        own = [other.scores for other in lists if other.system == item.system]
        limits = float(min(scores.min() for scores in own)), float(max(scores.max() for scores in own))
        drawn.append(figures.score_histogram(item, limits))
    return f'<div class="grid">{"".join(drawn)}</div>'


def by_condition(lists: Sequence[ScoreList]) -> dict[str, list[ScoreList]]:
    """Score lists of each condition, in the order of the systems."""
    conditions = dict.fromkeys(item.condition for item in lists)
    return {name: [item for item in lists if item.condition == name] for name in conditions}


def calibration_section(names: Sequence[str], lists: Sequence[ScoreList], comparison: Comparison) -> str:
    """Cost over the prior, and what calibration costs in each shown condition."""
    panels = "".join(figures.bayes_errors(own) for own in by_condition(lists).values())
    shown = {item.condition for item in lists}
    body = []
    for rows in comparison.shared:
        for row in rows:
            if condition_label(row) in shown:
                costs = [f"{row[key]['0.01']:.3f}" for key in ("min_dcf", "act_dcf")]
                body.append(
                    [row["system"], condition_label(row), *costs, f"{row['min_cllr']:.3f}", f"{row['cllr']:.3f}"]
                )
    header = ["system", "condition", "minDCF .01", "actDCF .01", "minCllr", "Cllr"]
    row = comparison.shared[0][0]
    text = (
        f"Scores as log-likelihood ratios by {row['calibration']}. Solid: cost of the decisions they imply at each prior; "
        "dotted: the least that any threshold on these scores could reach; 1 is deciding without listening. Cllr in bits."
    )
    return f'{colour_key(names)}<div class="grid">{panels}</div>{table(header, body, 2)}{paragraph(text)}'


def training_section(results: Sequence[SystemResults]) -> str:
    """Loss and held-out EER over steps; '' if no system was trained here."""
    journals = [result.journal for result in results]
    panels = "".join(
        figures.training_curve(journals, name, label)
        for name, label in (
            ("loss", "training loss"),
            ("valid_loss", "held-out loss"),
            ("valid_eer", "held-out EER (%)"),
        )
    )
    return f'{colour_key([result.name for result in results])}<div class="grid">{panels}</div>' if panels else ""


def speakers_section(names: Sequence[str], lists: Sequence[ScoreList]) -> str:
    """Which speakers cause the errors, in each shown condition."""
    figures_, tables = [], []
    for condition, items in by_condition(lists).items():
        found = [_errors_of(item) for item in items]
        figures_.append(figures.speaker_scatter(condition, [errors for errors, _ in found]))
        tables += [_speaker_table(item, *own) for item, own in zip(items, found)]
    legend = (
        "Trials at or above each system's EER threshold are accepted. A dot is a speaker. A false alarm counts for both of "
        "its speakers; share: of all errors, misses and false alarms counting alike in total."
    )
    return (
        f'{colour_key(names)}<div class="grid">{"".join(figures_)}</div><div class="grid">{"".join(tables)}</div>'
        f"{paragraph(legend)}"
    )


def _errors_of(item: ScoreList) -> tuple[SpeakerErrors, list[str]]:
    speakers, names = item.speakers()
    return speaker_errors(item.scores, item.is_target, speakers, eer_threshold(item.scores, item.is_target)), names


def _speaker_table(item: ScoreList, errors: SpeakerErrors, names: Sequence[str]) -> str:
    order = sorted(range(len(names)), key=lambda i: (-errors.share[i], names[i]))
    lines = []
    for i in order[:NUM_SPEAKERS]:
        bar = f'<span class="bar" style="width:{5 * errors.share[i] / max(errors.share.max(), 1e-9):.2f}rem"></span>'
        lines.append(
            f"<tr><td>{html.escape(names[i])}</td><td>{errors.misses[i]}/{errors.targets[i]}</td>"
            f"<td>{errors.false_alarms[i]}/{errors.nontargets[i]}</td><td>{100 * errors.share[i]:.0f} %</td>"
            f'<td class="words">{bar}</td></tr>'
        )
    head = "<tr><th>speaker</th><th>misses</th><th>false alarms</th><th>share</th><th></th></tr>"
    half = next((k for k in range(1, len(order) + 1) if sum(errors.share[i] for i in order[:k]) >= 0.5), 0)
    said = paragraph(f"{half} of {len(order)} speakers cause half of the errors.") if half else paragraph("No errors.")
    title = html.escape(f"{item.system}, {item.condition}")
    rows = f'<table class="numbers"><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table>'
    return f'<div class="keep"><h3>{title}</h3><div class="scroll">{rows}</div>{said}</div>'


def worst_section(lists: Sequence[ScoreList]) -> str:
    """The most confident errors, by the ids of their recordings."""
    panels = []
    for item in lists:
        kinds = zip(("misses", "false alarms"), worst_trials(item.scores, item.is_target, NUM_TRIALS))
        for kind, chosen in kinds:
            rows = [[f"{item.trials.enrolment[i]}\n{item.trials.test[i]}", f"{item.scores[i]:.3f}"] for i in chosen]
            title = html.escape(f"{item.system}, {item.condition}: {kind}")
            panels.append(f'<div class="keep"><h3>{title}</h3>{table(["enrolment and test", "score"], rows)}</div>')
    listen = (
        "To hear one as it was tested: <code>python -m sv.bin.render_cut data/SET/cuts.jsonl.gz ID &gt; heard.wav</code>, SET "
        f"being {' or '.join(dict.fromkeys(html.escape(item.set_name) for item in lists))}."
    )
    return f'<div class="grid">{"".join(panels)}</div><p class="small">{listen}</p>'


def flatten(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested keys as dotted ones, values as JSON."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        dotted = f"{prefix}{key}"
        flat |= flatten(value, f"{dotted}.") if isinstance(value, dict) else {dotted: json.dumps(value)}
    return flat


def provenance(results: Sequence[SystemResults]) -> str:
    """What each system's numbers come from, and where the configurations differ."""
    facts = [
        ["training", *map(training_text, results)],
        *([name, *(fact(result.rows[0]) for result in results)] for name, fact in FACTS.items()),
    ]
    flat = [flatten(result.config) for result in results]
    keys = [key for key in dict.fromkeys(key for table in flat for key in table) if key != "name"]
    differing = [
        [key, *(table.get(key, "-") for table in flat)] for key in keys if len({table.get(key) for table in flat}) > 1
    ]
    names = [result.name for result in results]
    parts = [table(["", *names], facts, 1 + len(names))]
    if differing:
        parts.append("<h3>Where the configurations differ</h3>" + table(["", *names], differing, 1 + len(names)))
    parts += [
        f"<details><summary>{html.escape(result.name)}: whole configuration</summary>"
        f"<pre>{html.escape(json.dumps(result.config, indent=1))}</pre></details>"
        for result in results
    ]
    return "".join(parts)


def training_text(result: SystemResults) -> str:
    """How long a system was trained, and how good it was on held-out speakers."""
    held_out = [record["valid_eer"] for record in result.journal if "valid_eer" in record]
    steps = max((record["step"] for record in result.journal), default=0)
    return f"{steps} steps, best held-out EER {min(held_out):.2f} %" if held_out else "not recorded"


FACTS: dict[str, Callable[[Row], str]] = {
    "trials": lambda row: f"{row['trials_sha256'][:12]}, {row['num_dropped']} dropped",
    "crops": lambda row: row["crop_scheme"],
    "normalisation": lambda row: row["normalisation"],
    "priors and costs": lambda row: "; ".join(row["operating_points"]),
    "checkpoint": lambda row: row["checkpoint_sha256"][:12],
    "commit": lambda row: short_commit(row["commit"]),
    "seed": lambda row: str(row["seed"]),
}


def backends_section(comparisons: Sequence[Comparison]) -> str:
    """Every back end on clean speech and on the mean of the noisy conditions."""
    rows = backend_table(comparisons)
    clean = ("clean speech", slice(2, 7))
    noisy = ("mean of the noisy conditions", slice(7, 12))
    return "".join(
        f'<div class="keep"><h3>{title}</h3>'
        + table(["system", "back end", *BACKEND_MEASURES], [[*row[:2], *row[part]] for row in rows], 2)
        + "</div>"
        for title, part in (clean, noisy)
        if any(cell != ABSENT for row in rows for cell in row[part])
    )


def breakdown_sections(results: Sequence[SystemResults], backend: str) -> list[Section]:
    """Tables of what sv breakdown wrote, one a test set and property; none if it was not run."""
    systems = [result.breakdown for result in results if result.breakdown]
    return [(f"{test_set} by {by}", table(cells[0], cells[1:])) for test_set, by, cells in tables_of(systems, backend)]


def score_sections(results: Sequence[SystemResults], comparisons: Sequence[Comparison], data: Path) -> list[Section]:
    """Everything that is drawn from scores, of clean speech and of the hardest condition."""
    main = comparisons[0]
    shown = shown_conditions(main)
    lists = [read_score_list(result, rows[i], data) for i, result in enumerate(results) for rows in shown]
    if not lists:
        return []
    calibrated = [c for c in comparisons if (c.test_set, c.backend) == (main.test_set, f"{main.backend}{CALIBRATED}")]
    sections = [("Detection error trade-off", det_section(main.systems, lists)), ("Scores", histogram_section(lists))]
    for comparison in calibrated:
        names = {rows[0]["condition"] for rows in shown}
        rows = [rows for rows in comparison.shared if rows[0]["condition"] in names]
        llrs = [read_score_list(result, own[i], data) for i, result in enumerate(results) for own in rows]
        sections.append(("Calibration", calibration_section(main.systems, llrs, comparison) if llrs else ""))
    return [
        *sections,
        ("Training", training_section(results)),
        ("Which speakers cause the errors", speakers_section(main.systems, lists)),
        ("The worst trials", worst_section(lists)),
    ]


def page(results: Sequence[SystemResults], data: Path, note: str = "", despite: Collection[str] = ()) -> str:
    """The whole page.

    Parameters
    ----------
    results : sequence of SystemResults
    data : Path
        Folder of the data directories, whose trials the score files are read with.
    note : str
        Shown at the top, for instance what the corpus is not.
    despite : collection of str
        In what the systems may differ all the same, see `sv.report.compare`.

    Raises
    ------
    ValueError
        If the systems cannot be compared, or their trials changed.
    """
    comparisons = compare([result.rows for result in results], despite)
    main = comparisons[0]
    found = verdicts(results, main, data)
    sections = [
        ("Error rates by noise condition", rates_section(main)),
        ("Side by side", paired_section(results[0].name, found)),
        ("EER over SNR", snr_section(main)),
        *score_sections(results, comparisons, data),
        *breakdown_sections(results, main.backend),
        ("Back ends", backends_section(comparisons)),
        *enrolment_sections(results, data),
        *enhancement_sections(results, data),
        ("Where the numbers come from", provenance(results)),
    ]
    title = html.escape(f"{' and '.join(result.name for result in results)} on {main.test_set}")
    notes = filter(None, [note, *rule_notes([result.rows for result in results])])
    label = "".join(paragraph(line, "note") for line in notes)
    intro = (
        f"Scored by {main.backend}. EER in percent; minDCF normalised, at target priors 0.01 and 0.05 with unit costs. "
        "Lower is better."
    )
    said = "".join(paragraph(verdict_text(results[0].name, verdict), "verdict") for verdict in found)
    body = "".join(
        f"<section><h2>{html.escape(heading)}</h2>{content}</section>" for heading, content in sections if content
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><title>{title}</title><style>{CSS}</style></head>\n'
        f"<body><h1>{title}</h1>{label}{paragraph(intro, '')}{said}{body}</body></html>\n"
    )
