"""Error rates of detection scores: higher scores mean target; ties are one operating point."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression


@dataclass(frozen=True)
class OperatingPoint:
    """Costs of errors, and the prior of a target.

    Attributes
    ----------
    p_target : float in (0, 1)
        Prior of a target.
    c_miss, c_fa : float
        Costs of a miss and of a false alarm, positive.
    """

    p_target: float
    c_miss: float = 1.0
    c_fa: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.p_target < 1:
            raise ValueError(f"p_target must be in (0, 1), got {self.p_target}")
        if not (0 < self.c_miss < np.inf and 0 < self.c_fa < np.inf):
            raise ValueError(f"c_miss and c_fa must be positive, got {self.c_miss} and {self.c_fa}")

    def __str__(self) -> str:
        costs = "" if self.c_miss == self.c_fa == 1 else f",{self.c_miss:g},{self.c_fa:g}"
        return f"{self.p_target:g}{costs}"

    @property
    def threshold(self) -> float:
        """Log-likelihood ratio from which accepting costs less than rejecting (Bayes)."""
        return float(np.log(self.c_fa * (1 - self.p_target)) - np.log(self.c_miss * self.p_target))

    def cost(self, p_miss: np.ndarray, p_fa: np.ndarray) -> np.ndarray:
        """Expected cost divided by that of the better constant decision."""
        of_miss, of_fa = self.c_miss * self.p_target, self.c_fa * (1 - self.p_target)
        return (of_miss * p_miss + of_fa * p_fa) / min(of_miss, of_fa)


def checked(scores: np.ndarray, is_target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores as float64 and labels as bool; raises ValueError if no error rate can be had from them."""
    scores, is_target = np.asarray(scores, dtype=np.float64), np.asarray(is_target, dtype=bool)
    if scores.shape != is_target.shape or scores.ndim != 1:
        raise ValueError(f"scores are {scores.shape}, labels {is_target.shape}: one of each a trial")
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} of {len(scores)} scores are NaN or infinite")
    if is_target.all() or not is_target.any():
        raise ValueError(
            f"error rates need target and nontarget trials, got {is_target.sum()} and {(~is_target).sum()}"
        )
    return scores, is_target


def _ends_of_ties(ordered: np.ndarray) -> np.ndarray:
    """Index of the last of each run of equal values, (num_values,)."""
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))


def _rates(targets: np.ndarray, nontargets: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Miss and false-alarm rate after rejecting nothing, and up to each of `ends`; weights in score order."""
    missed, rejected = np.cumsum(targets), np.cumsum(nontargets)
    p_miss = np.append(0.0, missed[ends] / missed[-1])
    return p_miss, np.append(1.0, 1 - rejected[ends] / rejected[-1])


def det_points(scores: np.ndarray, is_target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Miss and false-alarm rates at every threshold that separates two different scores.

    Parameters
    ----------
    scores : (num_trials,) numpy.ndarray
    is_target : (num_trials,) bool numpy.ndarray

    Returns
    -------
    p_miss, p_fa : (num_points,) numpy.ndarray
        From accepting everything (0, 1) to rejecting everything (1, 0).
    thresholds : (num_points,) numpy.ndarray
        Trials that score at least this are accepted; the last is infinity.

    Raises
    ------
    ValueError
        If a score is not finite, or one of the two kinds of trial is absent.
    """
    scores, is_target = checked(scores, is_target)
    order = np.argsort(scores)  # the order within ties is of no account
    ordered, labels = scores[order], is_target[order]
    ends = _ends_of_ties(ordered)
    p_miss, p_fa = _rates(labels, ~labels, ends)
    return p_miss, p_fa, np.append(ordered[np.append(0, ends[:-1] + 1)], np.inf)


def crossing(p_miss: np.ndarray, p_fa: np.ndarray) -> float:
    """Rate at which miss and false-alarm rate are equal, on straight lines between the operating points."""
    difference = p_miss - p_fa  # rises from -1 to 1
    after = int(np.searchsorted(difference, 0.0))
    before = after - 1
    fraction = -difference[before] / (difference[after] - difference[before])
    return float(p_miss[before] + fraction * (p_miss[after] - p_miss[before]))


def compute_eer(scores: np.ndarray, is_target: np.ndarray) -> float:
    """Equal error rate in [0, 1], interpolated between operating points, ties merged; raises as `det_points` does."""
    p_miss, p_fa, _ = det_points(scores, is_target)
    return crossing(p_miss, p_fa)


def as_kaldi_reads(scores: np.ndarray) -> np.ndarray:
    """Scores as Kaldi's programs read them, rounded to float32, in their order, (num_scores,) float64.

    What float32 has no room for stays as it is, so that scores beyond its range, or closer to zero, keep their order.
    """
    with np.errstate(over="ignore", under="ignore"):
        narrow = scores.astype(np.float32).astype(np.float64)
    return np.where(np.isinf(narrow) | (np.abs(scores) < np.finfo(np.float32).tiny), scores, narrow)


def compute_eer_kaldi(scores: np.ndarray, is_target: np.ndarray) -> float:
    """Equal error rate as Kaldi's compute-eer defines it: the miss rate at a step, a multiple of 1 / num_targets."""
    scores, is_target = checked(scores, is_target)
    scores = as_kaldi_reads(scores)
    targets, nontargets = np.sort(scores[is_target]), np.sort(scores[~is_target])
    steps = np.arange(len(targets) - 1)
    rank = np.maximum(0, len(nontargets) - 1 - len(nontargets) * steps // len(targets))
    stops = np.flatnonzero(nontargets[rank] < targets[:-1])
    return float((stops[0] if len(stops) else len(targets) - 1) / len(targets))


def compute_min_dcf(
    scores: np.ndarray, is_target: np.ndarray, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0
) -> float:
    """Minimum detection cost over all thresholds, normalised; raises as `OperatingPoint` and `det_points` do."""
    p_miss, p_fa, _ = det_points(scores, is_target)
    return float(OperatingPoint(p_target, c_miss, c_fa).cost(p_miss, p_fa).min())


def compute_act_dcf(
    llrs: np.ndarray, is_target: np.ndarray, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0
) -> float:
    """Detection cost of the Bayes decisions on log-likelihood ratios, normalised as minDCF is.

    Parameters
    ----------
    llrs : (num_trials,) numpy.ndarray
        Natural logarithms; a trial at the threshold is accepted.
    is_target : (num_trials,) bool numpy.ndarray

    Raises
    ------
    ValueError
        As `OperatingPoint` and `det_points` do.
    """
    llrs, is_target = checked(llrs, is_target)
    point = OperatingPoint(p_target, c_miss, c_fa)
    accepted = llrs >= point.threshold
    return float(point.cost(1 - accepted[is_target].mean(), accepted[~is_target].mean()))


def compute_cllr(llrs: np.ndarray, is_target: np.ndarray) -> float:
    """Cost of log-likelihood ratios in bits, 1 for a system that knows nothing and says so.

    Bruemmer and du Preez, "Application-independent evaluation of speaker detection" (Computer Speech and Language 20,
    2006), eq. 1. Natural logarithms in; raises as `det_points` does.
    """
    llrs, is_target = checked(llrs, is_target)
    miss, false_alarm = cllr_sums(llrs, is_target.astype(np.int64), (~is_target).astype(np.int64))
    return float(0.5 * (miss / is_target.sum() + false_alarm / (~is_target).sum()))


def cllr_sums(llrs: np.ndarray, targets: np.ndarray, nontargets: np.ndarray) -> tuple[float, float]:
    """Sums of the two kinds' costs in bits, of `targets` and `nontargets` trials at each of the ratios."""
    with np.errstate(over="ignore"):  # ratios near the largest number cost infinity
        miss, false_alarm = targets @ np.logaddexp(0, -llrs), nontargets @ np.logaddexp(0, llrs)
        return float(miss / np.log(2)), float(false_alarm / np.log(2))


def pool_adjacent_violators(targets: np.ndarray, nontargets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of the blocks in which the share of targets rises with the score, from counts in score order.

    Pooling parts of a list and then the pooled parts gives the blocks of the whole list.

    Parameters
    ----------
    targets, nontargets : (num_values,) int numpy.ndarray
        Trials at each distinct score, in ascending order.

    Returns
    -------
    targets, nontargets : (num_blocks,) int numpy.ndarray
    """
    totals = targets + nontargets
    blocks = isotonic_regression(targets / totals, weights=totals).blocks[:-1]
    return np.add.reduceat(targets, blocks), np.add.reduceat(nontargets, blocks)


def cllr_of_blocks(targets: np.ndarray, nontargets: np.ndarray) -> float:
    """Cllr in bits if each block's log-likelihood ratio is the one that its counts suggest."""
    p_target, p_nontarget = targets / targets.sum(), nontargets / nontargets.sum()
    both = p_target + p_nontarget
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(p_target > 0, p_target * np.log2(both / p_target), 0)
        bits += np.where(p_nontarget > 0, p_nontarget * np.log2(both / p_nontarget), 0)
    return float(0.5 * bits.sum())


def compute_min_cllr(scores: np.ndarray, is_target: np.ndarray) -> float:
    """Cllr in bits after the best monotone calibration on these very trials (PAV); raises as `det_points` does."""
    scores, is_target = checked(scores, is_target)
    order = np.argsort(scores)
    ordered, labels = scores[order], is_target[order].astype(np.int64)
    first = np.append(0, _ends_of_ties(ordered)[:-1] + 1)
    return cllr_of_blocks(*pool_adjacent_violators(np.add.reduceat(labels, first), np.add.reduceat(1 - labels, first)))
