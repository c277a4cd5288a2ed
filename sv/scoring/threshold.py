"""A threshold for scores from one's own trials, by the rate of false alarms that is allowed, with its interval."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import stdtrit

from sv.kaldi.trials import Trials
from sv.scoring.bootstrap import NUM_REPLICATES, interval, replicate_counts
from sv.scoring.cosine import rows_of
from sv.scoring.metrics import checked

RULE_OF_THREE = 3.0  # n trials without an error show with 95 % confidence that the rate is below 3 / n
BLOCK_WEIGHTS = 1 << 23  # weights of nontarget trials held at a time


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The lowest threshold that keeps the false alarms of the trials within the rate asked for.

    Attributes
    ----------
    threshold : float
        A score from here on is accepted.
    low, high : float
        95 % interval of the threshold, by a bootstrap over speakers.
    max_fa : float
        Rate asked for.
    p_fa, p_miss : float
        Rates of the trials at the threshold.
    p_fa_interval, p_miss_interval : pair of float
        Their 95 % intervals: what other speakers may see.
    num_target, num_nontarget, num_speakers : int
    """

    threshold: float
    low: float
    high: float
    max_fa: float
    p_fa: float
    p_miss: float
    p_fa_interval: tuple[float, float]
    p_miss_interval: tuple[float, float]
    num_target: int
    num_nontarget: int
    num_speakers: int


def speakers_by_targets(trials: Trials) -> tuple[np.ndarray, np.ndarray]:
    """Speaker of either side of each trial, (num_trials,) int each, where no utt2spk says it.

    Utterances that target trials join, directly or by others, are of one speaker; each other one counts as a speaker.
    """
    names = dict.fromkeys([*trials.enrolment, *trials.test], 0)
    utts, (left, right) = rows_of(names, "name", trials.enrolment, trials.test)
    joined = (left[trials.is_target], right[trials.is_target])
    graph = coo_array((np.ones(len(joined[0])), joined), shape=(len(utts), len(utts)))
    _, speaker = connected_components(graph, directed=False)
    return speaker[left], speaker[right]


def check_support(num_nontarget: int, num_pairs: int, max_fa: float) -> None:
    """Raise ValueError unless there are trials, and pairs of speakers, enough to tell of such a rate.

    Trials of one pair of speakers tell little more than one of them, so that pairs count as trials do.
    """
    if not 0 < max_fa < 1:
        raise ValueError(f"the rate of false alarms must be in (0, 1), got {max_fa}")
    need = math.ceil(RULE_OF_THREE / max_fa)
    if num_nontarget < need:
        raise ValueError(
            f"{num_nontarget} nontarget trials cannot show a rate of false alarms of {max_fa:g}: {need} are needed"
            f"{_instead(num_nontarget)}"
        )
    if num_pairs < need:
        speakers = math.ceil((1 + math.sqrt(1 + 8 * need)) / 2)
        raise ValueError(
            f"the nontarget trials are of {num_pairs} pairs of speakers, which cannot show a rate of false alarms of "
            f"{max_fa:g}: {need} pairs are needed, of {speakers} speakers or more{_instead(num_pairs)}"
        )


def _instead(number: int) -> str:
    """The rate that so many trials can show, to two places, rounded up; nothing for a handful."""
    if number <= 2 * RULE_OF_THREE:
        return ""
    rate = RULE_OF_THREE / number
    place = 10.0 ** (math.floor(math.log10(rate)) - 1)
    return f", or --max-fa {math.ceil(rate / place) * place:.6g}"


def find_threshold(
    scores: np.ndarray,
    is_target: np.ndarray,
    speakers: tuple[np.ndarray, np.ndarray],
    max_fa: float,
    rng: np.random.Generator,
    num_replicates: int = NUM_REPLICATES,
) -> Threshold:
    """Find the threshold.

    Parameters
    ----------
    scores, is_target : (num_trials,) numpy.ndarray
    speakers : pair of (num_trials,) int numpy.ndarray
        Speaker of either side, numbered from 0.
    max_fa : float in (0, 1)
    rng : numpy.random.Generator
    num_replicates : int

    Raises
    ------
    ValueError
        If the trials cannot tell of such a rate: how many are needed; or as `det_points`.
    """
    scores, is_target = checked(scores, is_target)
    left, right = (np.asarray(side) for side in speakers)
    num_speakers = int(max(left.max(), right.max())) + 1
    first, second = np.minimum(left, right)[~is_target], np.maximum(left, right)[~is_target]
    num_pairs = len(np.unique(first.astype(np.int64) * num_speakers + second))
    check_support(int((~is_target).sum()), num_pairs, max_fa)
    order = np.argsort(-scores[~is_target], kind="stable")
    nontargets, first, second = scores[~is_target][order], first[order], second[order]
    targets, owner = scores[is_target], left[is_target]
    counts = replicate_counts(num_speakers, rng, num_replicates)
    thresholds, alarms = _thresholds(nontargets, first, second, counts, max_fa)
    missed = (targets < thresholds[0]).astype(np.float64)
    with np.errstate(invalid="ignore"):
        misses = (counts[:, owner] @ missed) / counts[:, owner].sum(axis=1)
    known = thresholds[1:][np.isfinite(thresholds[1:])]
    reach = stdtrit(num_speakers - 1, 0.975) * known.std(ddof=1)
    return Threshold(
        threshold=float(thresholds[0]),
        low=float(thresholds[0] - reach),
        high=float(thresholds[0] + reach),
        max_fa=max_fa,
        p_fa=float(alarms[0]),
        p_miss=float(misses[0]),
        p_fa_interval=interval(alarms, num_speakers, len(nontargets)),
        p_miss_interval=interval(misses, num_speakers, len(targets)),
        num_target=len(targets),
        num_nontarget=len(nontargets),
        num_speakers=num_speakers,
    )


def _thresholds(
    nontargets: np.ndarray, first: np.ndarray, second: np.ndarray, counts: np.ndarray, max_fa: float
) -> tuple[np.ndarray, np.ndarray]:
    """Threshold of each replicate, and its rate of false alarms at the sample's threshold; scores fall.

    NaN for a replicate without nontarget trials.
    """
    last_of_tie = np.flatnonzero(np.append(nontargets[1:] != nontargets[:-1], True))
    distinct = nontargets[last_of_tie]
    # Between two scores; above the highest, by as much as it is above the next.
    above = np.append(distinct[0] + np.spacing(abs(distinct[0])), (distinct[1:] + distinct[:-1]) / 2)
    thresholds, alarms = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    size = max(1, BLOCK_WEIGHTS // len(nontargets))
    for at in range(0, len(counts), size):
        block = slice(at, at + size)
        accepted = np.cumsum(counts[block][:, first] * counts[block][:, second], axis=1)[:, last_of_tie]
        total = accepted[:, -1:]
        some = total[:, 0] > 0
        # Index of the highest score that must be rejected: accepting all from it on would be too many.
        over = np.argmax(accepted > max_fa * total, axis=1)
        thresholds[block] = np.where(some, above[over], np.nan)
        if at == 0:
            kept = int(over[0])
        number = accepted[:, kept - 1] if kept else np.zeros(len(accepted))
        with np.errstate(invalid="ignore"):
            alarms[block] = np.where(some, number / total[:, 0], np.nan)
    return thresholds, alarms
