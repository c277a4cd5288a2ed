"""Figures of a report, as inline SVG."""

import io
import re
from collections.abc import Sequence

import matplotlib
import numpy as np
from scipy.stats import norm

from sv.report import NOISE_ORDER, pick
from sv.results import Row
from sv.scoring.metrics import det_points

matplotlib.use("svg")
import matplotlib.pyplot as plt

COLOURS = ("#0b6e99", "#d9730d", "#4d7c3a", "#8a4b9e", "#b0413e", "#6b6b6b")
DET_TICKS = (0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 80)  # percent
STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none", "axes.grid": True,
         "grid.color": "#e3e3e3", "legend.frameon": False, "svg.hashsalt": "report"}  # fmt: skip


def to_svg(figure: plt.Figure) -> str:
    """The figure as an <svg> element that scales to its container."""
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    return re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1), count=1
    )


def eer_over_snr(systems: Sequence[list[Row]], backend: str) -> str:
    """A panel a noise type: EER over SNR, a line and its 95 % band a system; dashed: clean."""
    noises = [noise for noise in NOISE_ORDER if any(row["noise"] == noise for rows in systems for row in rows)]
    with plt.rc_context(STYLE):
        columns = min(2, len(noises))
        rows_of_panels = -(-len(noises) // columns)
        figure, axes = plt.subplots(
            rows_of_panels, columns, figsize=(4 * columns, 3 * rows_of_panels), squeeze=False, sharey=True
        )
        for axis, noise in zip(axes.flat, noises):
            for colour, rows in zip(COLOURS, systems):
                _eer_line(axis, pick(rows, backend), noise, colour)
            axis.set(title=noise, xlabel="SNR (dB)", ylabel="EER (%)", ylim=(0, None))
        for axis in list(axes.flat)[len(noises) :]:
            axis.set_visible(False)
        axes.flat[0].legend()
        figure.tight_layout()
        return to_svg(figure)


def _eer_line(axis: plt.Axes, rows: list[Row], noise: str, colour: str) -> None:
    own = sorted((row for row in rows if row["noise"] == noise), key=lambda row: row["snr_db"])
    snrs = [row["snr_db"] for row in own]
    axis.plot(snrs, [row["eer"] for row in own], marker="o", color=colour, label=rows[0]["system"])
    axis.fill_between(
        snrs, [row["eer_low"] for row in own], [row["eer_high"] for row in own], color=colour, alpha=0.12, lw=0
    )
    for row in rows:
        if row["noise"] is None:
            axis.axhline(row["eer"], color=colour, ls="--", lw=0.8)
    axis.set_xticks(snrs)


def det_curves(curves: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> str:
    """Miss over false-alarm rate on probit axes, a curve for each (label, scores, is_target)."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(5, 5))
        for i, (label, scores, is_target) in enumerate(curves):
            p_miss, p_fa, _ = det_points(scores, is_target)
            low, high = norm.ppf(DET_TICKS[0] / 200), norm.ppf(0.95)
            x, y = (np.clip(norm.ppf(p), low, high) for p in (p_fa, p_miss))
            axis.plot(x, y, color=COLOURS[i // 2 % len(COLOURS)], ls="-" if i % 2 == 0 else ":", label=label)
        ticks = norm.ppf(np.array(DET_TICKS) / 100)
        labels = [f"{tick:g}" for tick in DET_TICKS]
        limits = (norm.ppf(DET_TICKS[0] / 100), norm.ppf(0.9))
        axis.set(xticks=ticks, yticks=ticks, xticklabels=labels, yticklabels=labels, xlim=limits, ylim=limits)
        axis.set(xlabel="false alarms (%)", ylabel="misses (%)", aspect="equal")
        axis.legend(fontsize=8)
        return to_svg(figure)


def score_histogram(label: str, scores: np.ndarray, is_target: np.ndarray) -> str:
    """Densities of target and nontarget scores."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(4.2, 2.6))
        edges = np.linspace(scores.min(), scores.max(), 41)
        for kind, colour, name in ((is_target, COLOURS[0], "target"), (~is_target, COLOURS[1], "nontarget")):
            axis.hist(scores[kind], bins=edges, density=True, alpha=0.55, color=colour, label=name)
        axis.set(title=label, xlabel="score", yticks=[])
        axis.legend(fontsize=8)
        return to_svg(figure)


def training_curves(records: Sequence[tuple[str, list[dict]]]) -> str:
    """Training loss and held-out EER over steps, a line a system."""
    with plt.rc_context(STYLE):
        figure, (loss_axis, eer_axis) = plt.subplots(1, 2, figsize=(8.4, 3))
        for colour, (label, lines) in zip(COLOURS, records):
            for axis, key in ((loss_axis, "loss"), (eer_axis, "valid_eer")):
                points = [(line["step"], line[key]) for line in lines if key in line]
                if points:
                    axis.plot(*zip(*points), color=colour, label=label, lw=1.2)
        loss_axis.set(xlabel="step", ylabel="training loss")
        eer_axis.set(xlabel="step", ylabel="held-out EER (%)", ylim=(0, None))
        eer_axis.legend(fontsize=8)
        figure.tight_layout()
        return to_svg(figure)
