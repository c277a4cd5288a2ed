"""Sources of errors: speakers and trials."""

from dataclasses import dataclass

import numpy as np

from sv.scoring.metrics import det_points


def eer_threshold(scores: np.ndarray, is_target: np.ndarray) -> float:
    """The least threshold at which misses are at least as frequent as false alarms; raises as `det_points` does."""
    p_miss, p_fa, thresholds = det_points(scores, is_target)
    return float(thresholds[np.argmax(p_miss >= p_fa)])


@dataclass(frozen=True, eq=False)
class SpeakerErrors:
    """Errors by speaker, each (num_speakers,); a nontarget trial counts for both of its speakers.

    Attributes
    ----------
    targets, misses, nontargets, false_alarms : int numpy.ndarray
    share : numpy.ndarray
        Of all errors, misses and false alarms counting alike in total; sums to 1 if there are any.
    """

    targets: np.ndarray
    misses: np.ndarray
    nontargets: np.ndarray
    false_alarms: np.ndarray
    share: np.ndarray


def speaker_errors(
    scores: np.ndarray, is_target: np.ndarray, speakers: tuple[np.ndarray, np.ndarray], threshold: float
) -> SpeakerErrors:
    """Errors of each speaker if trials that score at least `threshold` are accepted.

    Parameters
    ----------
    scores, is_target : (num_trials,) numpy.ndarray
    speakers : pair of (num_trials,) int numpy.ndarray
        Speaker of either side, numbered from 0.
    threshold : float
    """
    left, right = speakers
    count = int(max(left.max(), right.max())) + 1
    accepted = scores >= threshold

    def of_both(chosen: np.ndarray) -> np.ndarray:
        return np.bincount(left[chosen], minlength=count) + np.bincount(right[chosen], minlength=count)

    misses = np.bincount(left[is_target & ~accepted], minlength=count)
    false_alarms = of_both(~is_target & accepted)
    kinds = [errors / errors.sum() for errors in (misses, false_alarms) if errors.any()]
    return SpeakerErrors(
        targets=np.bincount(left[is_target], minlength=count),
        misses=misses,
        nontargets=of_both(~is_target),
        false_alarms=false_alarms,
        share=np.mean(kinds, axis=0) if kinds else np.zeros(count),
    )


def worst_trials(scores: np.ndarray, is_target: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the target trials that score lowest and of the nontarget trials that score highest, worst first."""
    targets, nontargets = np.flatnonzero(is_target), np.flatnonzero(~is_target)
    lowest = targets[np.argsort(scores[targets], kind="stable")[:count]]
    return lowest, nontargets[np.argsort(-scores[nontargets], kind="stable")[:count]]


def bayes_error_curve(llrs: np.ndarray, is_target: np.ndarray, log_odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Actual and minimum normalised cost of equal-cost decisions at each of the prior's log odds.

    The normalised Bayes error rate of Bruemmer and de Villiers, "The BOSARIS toolkit" (arXiv:1304.2865, 2013).

    Parameters
    ----------
    llrs, is_target : (num_trials,) numpy.ndarray
    log_odds : (num_points,) numpy.ndarray
        Natural logarithms of p_target / (1 - p_target).

    Returns
    -------
    actual, minimum : (num_points,) numpy.ndarray
    """
    p_miss, p_fa, _ = det_points(llrs, is_target)
    targets, nontargets = np.sort(llrs[is_target]), np.sort(llrs[~is_target])
    prior = 1 / (1 + np.exp(-log_odds))
    default = np.minimum(prior, 1 - prior)
    missed = np.searchsorted(targets, -log_odds) / len(targets)
    accepted = 1 - np.searchsorted(nontargets, -log_odds) / len(nontargets)
    least = np.array([(p * p_miss + (1 - p) * p_fa).min() for p in prior])
    return (prior * missed + (1 - prior) * accepted) / default, least / default
