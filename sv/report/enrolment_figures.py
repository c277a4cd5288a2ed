"""Figures of models that are enrolled from several utterances: similarities of speakers, error rates over thresholds."""

from collections.abc import Sequence

import numpy as np

from sv.report.blocks import Figure, Table
from sv.report.drawing import BLUE, GREY, ORANGE, Spot, new_axes, thinned, to_svg
from sv.results.tables import ABSENT
from sv.scoring.metrics import det_points

MOST_NAMES = 12  # on an axis
MOST_CELLS = 40 * 40  # up to which the cells of a matrix tell their values


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


def similarity_matrix(means: np.ndarray, speakers: Sequence[str], title: str) -> Figure:
    """Map of mean similarities, (speakers, speakers) with the tested ones in rows; the targets are on the diagonal."""
    with new_axes(4.2, 3.8, grid=False) as axis:
        image = axis.imshow(means, cmap="viridis", aspect="equal")
        ticks = np.arange(0, len(speakers), -(-len(speakers) // MOST_NAMES))
        names = [speakers[i] for i in ticks]
        axis.set(title=title, xlabel="enrolled", ylabel="tested", xticks=ticks, yticks=ticks, yticklabels=names)
        axis.set_xticklabels(names, rotation=90)
        axis.figure.colorbar(image, shrink=0.8)
        name = f"Mean similarity of speakers, {title}"
        spots = [
            Spot(f"{speakers[row]} tested, {speakers[column]} enrolled: {means[row, column]:.2f}",
                 column - 0.5, row - 0.5, (column + 0.5, row + 0.5))
            for row, column in np.argwhere(np.isfinite(means))
            if means.size <= MOST_CELLS
        ]  # fmt: skip
        return Figure(name, to_svg(axis, name, spots), _extremes(means, speakers))


def _extremes(means: np.ndarray, speakers: Sequence[str]) -> Table:
    """Similarity of each tested speaker with the speaker's own models, and with the most similar other ones."""
    rows = []
    for i, name in enumerate(speakers):
        others = np.where(np.arange(len(speakers)) == i, np.nan, means[i])
        cells = [f"{means[i, i]:.2f}" if np.isfinite(means[i, i]) else ABSENT, ABSENT, ABSENT]
        if np.isfinite(others).any():
            nearest = int(np.nanargmax(others))
            cells[1:] = [f"{others[nearest]:.2f}", speakers[nearest]]
        rows.append([name, *cells])
    return Table(["tested", "own models", "most similar others", "whose"], rows)


def nearest_point(scores: np.ndarray, is_target: np.ndarray) -> tuple[float, float, float]:
    """Threshold at which the two error rates are nearest to each other, false-alarm rate and miss rate there."""
    p_miss, p_fa, thresholds = det_points(scores, is_target)
    nearest = int(np.argmin(np.abs(p_miss - p_fa)))
    return float(thresholds[nearest]), float(p_fa[nearest]), float(p_miss[nearest])


def error_rates(scores: np.ndarray, is_target: np.ndarray, title: str) -> Figure:
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
        name = f"Error rates over the threshold, {title}"
        rows = thinned([*zip(thresholds[finite], 100 * p_fa[finite], 100 * p_miss[finite])])
        spots = [
            Spot(f"threshold {at:.3f}: FAR {fa:.2f} %, FRR {miss:.2f} %", at, rate)
            for at, fa, miss in rows
            for rate in (fa, miss)
        ]
        values = Table(
            ["threshold", "FAR %", "FRR %"], [[f"{at:.3f}", f"{fa:.2f}", f"{miss:.2f}"] for at, fa, miss in rows]
        )
        return Figure(name, to_svg(axis, name, spots), values)
