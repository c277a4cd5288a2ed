"""Figures of models that are enrolled from several utterances: similarities of speakers, error rates over thresholds."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from sv.report.drawing import BLUE, GREY, ORANGE, new_axes, to_svg
from sv.scoring.metrics import det_points

MOST_NUMBERS = 12  # speakers up to which the cells of a matrix are labelled


def speaker_matrix(scores: np.ndarray, enrolled: Sequence[str], tested: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Mean score of each speaker's test utterances with each speaker's models.

    Parameters
    ----------
    scores : (num_trials,) numpy.ndarray
    enrolled, tested : sequence of str
        Speaker of either side of each trial.

    Returns
    -------
    means : (speakers, speakers) numpy.ndarray
        Rows are tested, columns enrolled; NaN where no trial has both.
    speakers : list of str
        In order.
    """
    speakers, numbers = np.unique([*enrolled, *tested], return_inverse=True)
    columns, rows = np.split(numbers, 2)
    sums, counts = np.zeros((2, len(speakers), len(speakers)))
    np.add.at(sums, (rows, columns), scores)
    np.add.at(counts, (rows, columns), 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), speakers.tolist()


def similarity_matrix(means: np.ndarray, speakers: Sequence[str], title: str) -> Markup:
    """Map of mean similarities, (speakers, speakers) with the tested ones in rows; the targets are on the diagonal."""
    with new_axes(4.2, 3.8, grid=False) as axis:
        image = axis.imshow(means, cmap="viridis", aspect="equal")
        few = len(speakers) <= MOST_NUMBERS
        if few:
            bright = np.nanmin(means) + 0.6 * (np.nanmax(means) - np.nanmin(means))
            for row, column in np.argwhere(np.isfinite(means)):
                value = means[row, column]
                colour = "black" if value > bright else "white"
                axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour)
        ticks = np.arange(0, len(speakers), 1 if len(speakers) <= 30 else len(speakers) // 15)
        names = [speakers[i] for i in ticks]
        axis.set(title=title, xlabel="enrolled", ylabel="tested", xticks=ticks, yticks=ticks)
        axis.set_xticklabels(names, rotation=90, fontsize=7)
        axis.set_yticklabels(names, fontsize=7)
        axis.figure.colorbar(image, shrink=0.8)
        return to_svg(axis, f"Mean similarity of speakers, {title}")


def nearest_point(scores: np.ndarray, is_target: np.ndarray) -> tuple[float, float, float]:
    """Threshold at which the two error rates are nearest to each other, false-alarm rate and miss rate there."""
    p_miss, p_fa, thresholds = det_points(scores, is_target)
    nearest = int(np.argmin(np.abs(p_miss - p_fa)))
    return float(thresholds[nearest]), float(p_fa[nearest]), float(p_miss[nearest])


def error_rates(scores: np.ndarray, is_target: np.ndarray, title: str) -> Markup:
    """False-alarm and miss rate over the threshold, and the threshold at which they are nearest to each other."""
    p_miss, p_fa, thresholds = det_points(scores, is_target)
    finite = np.isfinite(thresholds)
    threshold, at_fa, at_miss = nearest_point(scores, is_target)
    with new_axes(4.2, 3.8) as axis:
        for rates, colour, name in ((p_fa, ORANGE, "false alarms (FAR)"), (p_miss, BLUE, "misses (FRR)")):
            axis.step(thresholds[finite], 100 * rates[finite], where="pre", color=colour, label=name)
        axis.axvline(threshold, color=GREY, ls="--", lw=0.9)
        axis.plot([threshold] * 2, [100 * at_fa, 100 * at_miss], "o", color=GREY, ms=3)
        axis.set(title=title, xlabel="threshold", ylabel="trials (%)", ylim=(0, 100))
        axis.legend(loc="center left")
        return to_svg(axis, f"Error rates over the threshold, {title}")
