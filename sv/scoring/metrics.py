"""Error rates of detection scores: higher scores mean target; ties are one operating point."""

import numpy as np

BOOTSTRAP_REPLICATES = 1000


def _checked(scores: np.ndarray, is_target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
    scores, is_target = _checked(scores, is_target)
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


def compute_eer_kaldi(scores: np.ndarray, is_target: np.ndarray) -> float:
    """Equal error rate as Kaldi's compute-eer defines it: the miss rate at a step, a multiple of 1 / num_targets."""
    scores, is_target = _checked(scores, is_target)
    scores = scores.astype(np.float32)  # as compute-eer reads them
    targets, nontargets = np.sort(scores[is_target]), np.sort(scores[~is_target])
    steps = np.arange(len(targets) - 1)
    rank = np.maximum(0, len(nontargets) - 1 - len(nontargets) * steps // len(targets))
    stops = np.flatnonzero(nontargets[rank] < targets[:-1])
    return float((stops[0] if len(stops) else len(targets) - 1) / len(targets))


def compute_min_dcf(
    scores: np.ndarray, is_target: np.ndarray, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0
) -> float:
    """Minimum detection cost over all thresholds, divided by that of the better constant decision.

    Parameters
    ----------
    scores, is_target : (num_trials,) numpy.ndarray
    p_target : float in (0, 1)
        Prior of a target.
    c_miss, c_fa : float
        Costs of a miss and of a false alarm, positive.

    Raises
    ------
    ValueError
        For a prior or a cost out of its range, and as `det_points` does.
    """
    if not 0 < p_target < 1:
        raise ValueError(f"p_target must be in (0, 1), got {p_target}")
    if not (c_miss > 0 and c_fa > 0):
        raise ValueError(f"c_miss and c_fa must be positive, got {c_miss} and {c_fa}")
    p_miss, p_fa, _ = det_points(scores, is_target)
    cost = c_miss * p_target * p_miss + c_fa * (1 - p_target) * p_fa
    return float(cost.min() / min(c_miss * p_target, c_fa * (1 - p_target)))


def eer_interval(
    scores: np.ndarray,
    is_target: np.ndarray,
    speakers: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    level: float = 0.95,
    num_replicates: int = BOOTSTRAP_REPLICATES,
) -> tuple[float, float]:
    """Bootstrap interval of the EER, resampling speakers.

    Trials that share a speaker are not independent, so that counting trials would make the interval far too narrow. Each
    replicate draws as many speakers as there are, with replacement, and weights a nontarget trial by the product of its
    two speakers' counts, a target trial by its speaker's count.

    Parameters
    ----------
    scores, is_target : (num_trials,) numpy.ndarray
    speakers : pair of (num_trials,) int numpy.ndarray
        Speaker of either side, numbered from 0.
    rng : numpy.random.Generator
    level : float in (0, 1)
    num_replicates : int

    Returns
    -------
    low, high : float in [0, 1]
        Percentiles of the replicates; (0, 1), that is nothing is known, if fewer than half of them hold both kinds of
        trial.

    Notes
    -----
    The product weights are Owen's pigeonhole bootstrap (Annals of Applied Statistics 1, 2007), which is mildly
    conservative: it counts the variance that a single trial adds more than once.
    """
    scores, is_target = _checked(scores, is_target)
    order = np.argsort(scores)
    is_target = is_target[order]
    left, right = (np.asarray(side)[order] for side in speakers)
    ends = _ends_of_ties(scores[order])
    num_speakers = int(max(left.max(), right.max())) + 1
    eers = []
    for _ in range(num_replicates):
        counts = np.bincount(rng.integers(num_speakers, size=num_speakers), minlength=num_speakers)
        of_left = counts[left]
        targets, nontargets = of_left * is_target, of_left * counts[right] * ~is_target
        if targets.any() and nontargets.any():
            eers.append(crossing(*_rates(targets, nontargets, ends)))
    if len(eers) < num_replicates / 2:
        return 0.0, 1.0
    low, high = np.quantile(eers, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
