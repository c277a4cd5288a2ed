"""Figures of error rates and scores, each an <svg> element that scales to its container."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from scipy.stats import norm

from sv.report.drawing import BLUE, LIGHT_GREY, MIDDLE_GREY, NUM_BINS, ORANGE, colour_of, new_axes, to_svg
from sv.results.comparison import Comparison
from sv.results.conditions import is_clean, kind_of
from sv.results.folder import ScoreList
from sv.results.rows import Row
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


def eer_over_snr(comparison: Comparison, noise: str) -> Markup:
    """EER over SNR in one noise type: per system a line and its 95 % band; dashed: clean."""
    highest = max(row["eer_high"] for rows in comparison.conditions for row in rows if row)
    with new_axes(4.2, 2.9) as axis:
        for i in range(len(comparison.systems)):
            _eer_line(axis, [rows[i] for rows in comparison.conditions if rows[i]], noise, colour_of(i))
        axis.set(title=noise, xlabel="SNR (dB)", ylabel="EER (%)", ylim=(0, 1.05 * highest))
        return to_svg(axis, f"EER over SNR in {noise}")


def _eer_line(axis: Axes, rows: list[Row], noise: str, colour: str) -> None:
    own = sorted((row for row in rows if kind_of(row) == noise), key=lambda row: row["snr_db"])
    snrs = [row["snr_db"] for row in own]
    axis.plot(snrs, [row["eer"] for row in own], marker="o", color=colour)
    low, high = ([row[name] for row in own] for name in ("eer_low", "eer_high"))
    axis.fill_between(snrs, low, high, color=colour, alpha=0.12, lw=0)
    axis.set_xticks(snrs)
    for row in rows:
        if is_clean(row):
            axis.axhline(row["eer"], color=colour, ls="--", lw=0.9)


def det_curves(lists: Sequence[ScoreList]) -> Markup:
    """Miss over false-alarm rate on probit axes: one colour per system, one kind of line per condition."""
    systems, conditions = (
        list(dict.fromkeys(getattr(item, name) for item in lists)) for name in ("system", "condition")
    )
    low, high = norm.ppf(np.array(DET_LIMITS) / 100)
    with new_axes(5, 5) as axis:
        for item in lists:
            p_miss, p_fa, _ = det_points(item.scores, item.is_target)
            # A little beyond the limits, so that curves leave the frame instead of following it.
            x, y = (np.clip(norm.ppf(p), low - 1, high + 1) for p in (p_fa, p_miss))
            colour = colour_of(systems.index(item.system))
            axis.plot(x, y, color=colour, ls=LINES[line_of(conditions.index(item.condition))], lw=1.4)
        ticks, labels = norm.ppf(np.array(DET_TICKS) / 100), [f"{tick:g}" for tick in DET_TICKS]
        axis.set(xticks=ticks, yticks=ticks, xticklabels=labels, yticklabels=labels, xlim=(low, high), ylim=(low, high))
        axis.plot((low, high), (low, high), color=LIGHT_GREY, lw=0.8, zorder=0)
        axis.set(xlabel="false alarms (%)", ylabel="misses (%)", aspect="equal")
        return to_svg(axis, "DET curves")


def score_histogram(item: ScoreList, limits: tuple[float, float]) -> Markup:
    """Densities of target and nontarget scores, on an axis that a system's histograms share."""
    with new_axes(4.2, 2.4) as axis:
        edges = np.linspace(*limits, NUM_BINS + 1)
        for kind, colour, name in ((item.is_target, TARGET, "target"), (~item.is_target, NONTARGET, "nontarget")):
            shown = {"density": True, "alpha": 0.5, "color": colour, "label": name, "histtype": "stepfilled"}
            axis.hist(item.scores[kind], bins=edges, **shown)
        axis.set(title=f"{item.system}, {item.condition}", xlabel="score", yticks=[], xlim=limits)
        axis.legend()
        return to_svg(axis, f"Scores of {item.system}, {item.condition}")


def bayes_errors(lists: Sequence[ScoreList]) -> Markup:
    """Normalised cost over the prior in one condition, one colour per system: actual (solid) and minimum (dotted)."""
    with new_axes(4.2, 3.1) as axis:
        for i, item in enumerate(lists):
            actual, least = bayes_error_curve(item.scores, item.is_target, LOG_ODDS)
            axis.plot(LOG_ODDS, actual, color=colour_of(i), lw=1.4)
            axis.plot(LOG_ODDS, least, color=colour_of(i), ls=":", lw=1.4)
        axis.axhline(1, color=MIDDLE_GREY, lw=0.8)
        ticks = [np.log(prior / (1 - prior)) for prior in MARKED_PRIORS]
        axis.set(xticks=ticks, xticklabels=[f"{prior:g}" for prior in MARKED_PRIORS], xlim=LOG_ODDS[[0, -1]])
        axis.set(title=lists[0].condition, xlabel="prior of a target", ylabel="normalised cost", ylim=(0, 1.5))
        return to_svg(axis, f"Actual and minimum cost over the prior, {lists[0].condition}")


def speaker_scatter(condition: str, errors: Sequence[SpeakerErrors]) -> Markup:
    """Miss rate over false-alarm rate of each speaker at the EER threshold, one colour per system."""
    with new_axes(4.2, 3.1) as axis:
        for i, own in enumerate(errors):
            known = (own.targets > 0) & (own.nontargets > 0)
            x, y = 100 * own.false_alarms[known] / own.nontargets[known], 100 * own.misses[known] / own.targets[known]
            axis.scatter(x, y, s=26, color=colour_of(i), alpha=0.65, lw=0)
        axis.set(title=condition, xlabel="false alarms (% of the speaker's)", ylabel="misses (% of the speaker's)")
        axis.set(xlim=(-1, None), ylim=(-2, None))
        return to_svg(axis, f"Miss and false-alarm rate by speaker, {condition}")


def training_curve(journals: Sequence[list[dict]], key: str, label: str) -> Markup:
    """One value of train.jsonl over steps, one line per system; empty if no journal holds it."""
    lines = [[(record["step"], record[key]) for record in journal if key in record] for journal in journals]
    if not any(lines):
        return Markup()
    with new_axes(4.2, 2.6) as axis:
        for i, points in enumerate(lines):
            marker = "o" if len(points) < 20 else ""  # a lone point draws no line
            axis.plot(*zip(*points) if points else ((), ()), color=colour_of(i), lw=1.2, marker=marker, ms=3)
        axis.set(xlabel="step", ylabel=label, ylim=(0, None))
        return to_svg(axis, f"{label} over training steps")
