"""Figures of error rates and scores: drawings that scale to their container, and the values that they show."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from scipy.special import ndtri

from sv.report.blocks import Figure, Table
from sv.report.drawing import (
    BLUE,
    LIGHT_GREY,
    MIDDLE_GREY,
    MOST_SPOTS,
    NUM_BINS,
    ORANGE,
    Spot,
    colour_of,
    new_axes,
    thinned,
    to_svg,
)
from sv.results.comparison import Comparison
from sv.results.conditions import condition_label, is_clean, kind_of
from sv.results.folder import ScoreList
from sv.results.rows import Row
from sv.results.tables import EER, INTERVAL, interval_cell
from sv.scoring.errors import SpeakerErrors, bayes_error_curve
from sv.scoring.metrics import det_points

TARGET, NONTARGET = BLUE, ORANGE
LINES = {"solid": "-", "dotted": ":", "dashed": "--", "dash-dotted": "-."}  # of conditions, in order
DET_TICKS = (0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 80)  # percent
DET_LIMITS = (0.05, 90)  # percent
LOG_ODDS = np.linspace(-7, 3, 81)  # natural; p_target from 0.001 to 0.95
MARKED_PRIORS = (0.01, 0.05, 0.5)


def line_of(index: int) -> str:
    """Name of a condition's kind of line by its place, of `LINES`."""
    return list(LINES)[index % len(LINES)]


def eer_over_snr(comparison: Comparison, noise: str) -> Figure:
    """EER over SNR in one noise type: per system a line and its 95 % band; dashed: clean."""
    highest = max(row["eer_high"] for rows in comparison.conditions for row in rows if row)
    spots, cells = [], []
    with new_axes(4.2, 2.9) as axis:
        for i, name in enumerate(comparison.systems):
            own = _eer_line(axis, [rows[i] for rows in comparison.conditions if rows[i]], noise, colour_of(i))
            cells += [[name, condition_label(row), EER.cell([row]), interval_cell(row)] for row in own]
            spots += [Spot(_rate_text(name, row), row["snr_db"], row["eer"]) for row in own]
        axis.set(title=noise, xlabel="SNR (dB)", ylabel="EER (%)", ylim=(0, 1.05 * highest))
        title = f"EER over SNR in {noise}"
        return Figure(
            title,
            to_svg(axis, title, spots),
            Table(["system", "condition", EER.header, f"[{INTERVAL}]"], cells, 2),
        )


def _rate_text(system: str, row: Row) -> str:
    return f"{system}, {condition_label(row)}: EER {EER.cell([row])} % {interval_cell(row)}"


def _eer_line(axis: Axes, rows: list[Row], noise: str, colour: str) -> list[Row]:
    """Draw the line of a system; the rows on it."""
    own = sorted((row for row in rows if kind_of(row) == noise), key=lambda row: row["snr_db"])
    snrs = [row["snr_db"] for row in own]
    axis.plot(snrs, [row["eer"] for row in own], marker="o", color=colour)
    low, high = ([row[name] for row in own] for name in ("eer_low", "eer_high"))
    axis.fill_between(snrs, low, high, color=colour, alpha=0.12, lw=0)
    axis.set_xticks(snrs)
    for row in rows:
        if is_clean(row):
            axis.axhline(row["eer"], color=colour, ls="--", lw=0.9)
    return own


def det_curves(lists: Sequence[ScoreList]) -> Figure:
    """Miss over false-alarm rate on probit axes: one colour per system, one kind of line per condition."""
    systems, conditions = (
        list(dict.fromkeys(getattr(item, name) for item in lists)) for name in ("system", "condition")
    )
    spots, columns = [], []
    low, high = ndtri(np.array(DET_LIMITS) / 100)
    with new_axes(4.2, 4.2) as axis:
        for item in lists:
            p_miss, p_fa, _ = det_points(item.scores, item.is_target)
            # A little beyond the limits, so that curves leave the frame instead of following it.
            x, y = (np.clip(ndtri(p), low - 1, high + 1) for p in (p_fa, p_miss))
            colour = colour_of(systems.index(item.system))
            axis.plot(x, y, color=colour, ls=LINES[line_of(conditions.index(item.condition))], lw=1.4)
            reached = [_at_most(tick / 100, p_fa, p_miss) for tick in DET_TICKS]
            spots += _det_spots(f"{item.system}, {item.condition}", reached)
            columns.append([f"{100 * miss:.2f}" for _, miss in reached])
        ticks, labels = ndtri(np.array(DET_TICKS) / 100), [f"{tick:g}" for tick in DET_TICKS]
        axis.set(xticks=ticks, yticks=ticks, xticklabels=labels, yticklabels=labels, xlim=(low, high), ylim=(low, high))
        axis.plot((low, high), (low, high), color=LIGHT_GREY, lw=0.8, zorder=0)
        axis.set(xlabel="false alarms (%)", ylabel="misses (%)", aspect="equal")
        header = ["false alarms, at most %", *(f"{item.system}, {item.condition}: misses %" for item in lists)]
        values = Table(header, [list(row) for row in zip(labels, *columns)])
        return Figure("DET curves", to_svg(axis, "DET curves", spots), values)


def _at_most(limit: float, p_fa: np.ndarray, p_miss: np.ndarray) -> tuple[float, float]:
    """Point of a DET curve with the most false alarms up to a limit, and the fewest misses: (false alarms, misses)."""
    i = int(np.argmax(p_fa <= limit))  # false alarms fall along the curve
    return float(p_fa[i]), float(p_miss[i])


def _det_spots(name: str, points: Sequence[tuple[float, float]]) -> list[Spot]:
    low, high = (limit / 100 for limit in DET_LIMITS)
    return [
        Spot(f"{name}: {100 * fa:.2f} % false alarms, {100 * miss:.2f} % misses", ndtri(fa), ndtri(miss))
        for fa, miss in dict.fromkeys(points)
        if low <= fa <= high and low <= miss <= high
    ]


def score_histogram(item: ScoreList, limits: tuple[float, float]) -> Figure:
    """Densities of target and nontarget scores, on an axis that a system's histograms share."""
    edges = np.linspace(*limits, NUM_BINS + 1)
    kinds = {"target": (item.is_target, TARGET), "nontarget": (~item.is_target, NONTARGET)}
    with new_axes(4.2, 2.4) as axis:
        for name, (kind, colour) in kinds.items():
            shown = {"density": True, "alpha": 0.5, "color": colour, "label": name, "histtype": "stepfilled"}
            axis.hist(item.scores[kind], bins=edges, **shown)
        axis.set(title=f"{item.system}, {item.condition}", xlabel="score", yticks=[], xlim=limits)
        axis.legend()
        title = f"Scores of {item.system}, {item.condition}"
        shares = {name: share_by_bin(item.scores[kind], edges) for name, (kind, _) in kinds.items()}
        return Figure(title, to_svg(axis, title, bin_spots(axis, edges, shares)), bin_table("score", edges, shares))


def share_by_bin(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Percentage of the values in each bin, (num_bins,)."""
    return 100 * np.histogram(values, edges)[0] / max(1, len(values))


def bin_spots(axis: Axes, edges: np.ndarray, shares: dict[str, np.ndarray]) -> list[Spot]:
    """Strips over the bins of a histogram that tell what share of each kind is in them."""
    bottom, top = axis.get_ylim()
    return [
        Spot(f"{low:.3g} to {high:.3g}: {', '.join(f'{own[i]:.1f} % of {name}' for name, own in shares.items())}",
             low, bottom, (high, top))
        for i, (low, high) in enumerate(itertools.pairwise(edges))
    ]  # fmt: skip


def bin_table(measure: str, edges: np.ndarray, shares: dict[str, np.ndarray]) -> Table:
    """Shares of each kind by bin, empty bins left out."""
    rows = [
        [f"{low:.3g} to {high:.3g}", *(f"{own[i]:.1f}" for own in shares.values())]
        for i, (low, high) in enumerate(itertools.pairwise(edges))
        if any(own[i] for own in shares.values())
    ]
    return Table([measure, *(f"{name} %" for name in shares)], rows)


def bayes_errors(lists: Sequence[ScoreList]) -> Figure:
    """Normalised cost over the prior in one condition, one colour per system: actual (solid) and minimum (dotted)."""
    spots, cells = [], []
    with new_axes(4.2, 3.1) as axis:
        for i, item in enumerate(lists):
            actual, least = bayes_error_curve(item.scores, item.is_target, LOG_ODDS)
            axis.plot(LOG_ODDS, actual, color=colour_of(i), lw=1.4)
            axis.plot(LOG_ODDS, least, color=colour_of(i), ls=":", lw=1.4)
            for k in range(0, len(LOG_ODDS), 8):
                prior, costs = f"{1 / (1 + np.exp(-LOG_ODDS[k])):.2g}", [f"{actual[k]:.3f}", f"{least[k]:.3f}"]
                cells.append([item.system, prior, *costs])
                text = f"{item.system}, prior {prior}: cost {costs[0]}, least {costs[1]}"
                spots.append(Spot(text, LOG_ODDS[k], min(actual[k], 1.5)))
        axis.axhline(1, color=MIDDLE_GREY, lw=0.8)
        ticks = [np.log(prior / (1 - prior)) for prior in MARKED_PRIORS]
        axis.set(xticks=ticks, xticklabels=[f"{prior:g}" for prior in MARKED_PRIORS], xlim=LOG_ODDS[[0, -1]])
        axis.set(title=lists[0].condition, xlabel="prior of a target", ylabel="normalised cost", ylim=(0, 1.5))
        title = f"Actual and minimum cost over the prior, {lists[0].condition}"
        return Figure(title, to_svg(axis, title, spots), Table(["system", "prior", "cost", "least"], cells))


def speaker_scatter(condition: str, errors: Sequence[tuple[str, SpeakerErrors, Sequence[str]]]) -> Figure:
    """Miss rate over false-alarm rate of each speaker at the EER threshold, one colour per system.

    Values are told of the speakers with the greatest shares.

    Parameters
    ----------
    condition : str
    errors : sequence of (system, errors, names of speakers)
    """
    spots, cells = [], []
    with new_axes(4.2, 3.1) as axis:
        for i, (system, own, names) in enumerate(errors):
            known = (own.targets > 0) & (own.nontargets > 0)
            x, y = (
                100 * np.divide(wrong, of, out=np.zeros(len(of)), where=of > 0)
                for wrong, of in ((own.false_alarms, own.nontargets), (own.misses, own.targets))
            )
            axis.scatter(x[known], y[known], s=26, color=colour_of(i), alpha=0.65, lw=0)
            for k in np.flatnonzero(known)[np.argsort(-own.share[known], kind="stable")][:MOST_SPOTS]:
                counts = f"{own.misses[k]}/{own.targets[k]}", f"{own.false_alarms[k]}/{own.nontargets[k]}"
                cells.append([f"{system}, {names[k]}", *counts])
                spots.append(Spot(f"{system}, {names[k]}: misses {counts[0]}, false alarms {counts[1]}", x[k], y[k]))
        axis.set(title=condition, xlabel="false alarms (% of the speaker's)", ylabel="misses (% of the speaker's)")
        axis.set(xlim=(-1, None), ylim=(-2, None))
        title = f"Miss and false-alarm rate by speaker, {condition}"
        return Figure(title, to_svg(axis, title, spots), Table(["speaker", "misses", "false alarms"], cells))


def training_curve(journals: dict[str, list[dict]], key: str, label: str) -> Figure | None:
    """One value of train.jsonl over steps, one line per system; None if no journal holds it.

    Parameters
    ----------
    journals : dict of str to list of dict
        Records by system.
    key, label : str
        Name of the value in the records, and on the axis.
    """
    lines = [
        (name, [(record["step"], record[key]) for record in own if key in record]) for name, own in journals.items()
    ]
    if not any(points for _, points in lines):
        return None
    spots, cells = [], []
    with new_axes(4.2, 2.6) as axis:
        for i, (name, points) in enumerate(lines):
            marker = "o" if len(points) < 20 else ""  # a lone point draws no line
            axis.plot(*zip(*points) if points else ((), ()), color=colour_of(i), lw=1.2, marker=marker, ms=3)
            told = thinned(points)
            cells += [[name, f"{step}", f"{value:.4g}"] for step, value in told]
            spots += [Spot(f"{name}, step {step}: {label} {value:.4g}", step, value) for step, value in told]
        axis.set(xlabel="step", ylabel=label, ylim=(0, None))
        title = f"{label} over training steps"
        return Figure(title, to_svg(axis, title, spots), Table(["system", "step", label], cells))
