"""Scores that lie far beyond all others of both kinds of trial."""

import numpy as np

FAR = 5.0  # robust deviations
MOST = 0.01  # share of the trials that can be outliers; more are part of the distribution
MAD_TO_DEVIATION = 1.4826  # of a Gaussian


class Outlier(ValueError):
    """A score that would decide alone what is learnt from all of them.

    Attributes
    ----------
    row, column : int
        Trial and input, from 0.
    """

    def __init__(self, values: np.ndarray, outlying: np.ndarray, row: int, column: int, change: float) -> None:
        usual = values[~outlying]
        super().__init__(
            f"{values[row]:g} is far outside {usual.min():g} to {usual.max():g}, where all others are (but {outlying.sum() - 1}), "
            f"and changes the calibration's weights by {change:.0%}; correct it, or leave the trial out"
        )
        self.row, self.column = row, column


def usual_range(values: np.ndarray, is_target: np.ndarray) -> tuple[float, float]:
    """Interval outside which a value is an outlier, whichever kind of trial it is of.

    It reaches `FAR` robust deviations beyond the median of either kind: 1.4826 times the median absolute deviation (Iglewicz
    and Hoaglin, "How to Detect and Handle Outliers", ASQC 1993), or the standard deviation where that is 0. A target that scores
    as nontargets do, or the reverse, is an error of the system or the label, and no outlier.

    Parameters
    ----------
    values : (num_trials,) float64 numpy.ndarray
        Finite, of any magnitude.
    is_target : (num_trials,) bool numpy.ndarray
        Both kinds must be there.

    Returns
    -------
    low, high : float
        Maybe infinite.
    """
    bounds = []
    for kind in (is_target, ~is_target):
        own = values[kind] / 8  # what is between two numbers of opposite sign must not overflow
        middle = np.median(own)
        deviation = MAD_TO_DEVIATION * np.median(np.abs(own - middle))
        if deviation == 0:
            largest = np.abs(own - middle).max()
            deviation = largest * np.std((own - middle) / largest) if largest else 0.0
        bounds += [middle - FAR * deviation, middle + FAR * deviation]
    with np.errstate(over="ignore"):
        return float(8 * np.float64(min(bounds))), float(8 * np.float64(max(bounds)))


def outliers(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """True for the values, (num_trials,), outside the usual range, for the farthest alone if they are many."""
    outside = (values < low) | (values > high)
    if outside.sum() > max(3, MOST * len(values)):
        distance = np.maximum(low / 2 - values / 2, values / 2 - high / 2)
        return np.arange(len(values)) == np.argmax(distance)
    return outside
