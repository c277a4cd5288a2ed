"""Error rates with other speakers: replicates of DET curves that resample speakers, not trials.

Trials that share a speaker are not independent, so that counting trials would make every interval far too narrow. A
replicate draws as many speakers as there are, with replacement, and weights a target trial by how often its speaker was
drawn, a nontarget trial by the product of its two speakers' counts: Owen's pigeonhole bootstrap (Annals of Applied
Statistics 1, 2007), mildly conservative, since it counts the variance that a single trial adds more than once.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import ndtr, ndtri, stdtr, stdtrit  # scipy.stats has the same, and takes a second to import

from sv.scoring.metrics import OperatingPoint, checked

NUM_REPLICATES = 1000
NUM_THRESHOLDS = 768  # on which the curves of long lists are evaluated; their own errors are not rounded to it
BLOCK_WEIGHTS = 1 << 24  # weights of nontarget pairs held at a time


@dataclass(frozen=True, eq=False)
class Curves:
    """DET curves of the sample (row 0) and of the replicates (the others).

    Attributes
    ----------
    p_miss, p_fa : (1 + num_replicates, num_thresholds) numpy.ndarray
        From accepting everything (0, 1) to rejecting everything (1, 0); NaN in a replicate that lacks a kind of trial.
    num_speakers : int
    """

    p_miss: np.ndarray
    p_fa: np.ndarray
    num_speakers: int

    def eers(self) -> np.ndarray:
        """Equal error rate of each curve, in [0, 1]."""
        difference = self.p_miss - self.p_fa  # rises from -1 to 1
        after = np.argmax(difference >= 0, axis=1)[:, None]
        before = np.maximum(after - 1, 0)
        miss_0, miss_1 = (np.take_along_axis(self.p_miss, at, axis=1)[:, 0] for at in (before, after))
        low, high = (np.take_along_axis(difference, at, axis=1)[:, 0] for at in (before, after))
        with np.errstate(invalid="ignore", divide="ignore"):
            return miss_0 - low / (high - low) * (miss_1 - miss_0)

    def min_dcfs(self, point: OperatingPoint) -> np.ndarray:
        """Normalised minimum detection cost of each curve."""
        return point.cost(self.p_miss, self.p_fa).min(axis=1)


def replicate_counts(num_speakers: int, rng: np.random.Generator, num_replicates: int = NUM_REPLICATES) -> np.ndarray:
    """Number of times each speaker is drawn in each replicate, (1 + num_replicates, num_speakers); row 0: everyone once."""
    drawn = rng.multinomial(num_speakers, np.full(num_speakers, 1 / num_speakers), size=num_replicates)
    return np.vstack([np.ones(num_speakers, dtype=drawn.dtype), drawn]).astype(np.float64)


def thresholds_of(scores: np.ndarray, is_target: np.ndarray) -> np.ndarray:
    """Every distinct score; of many, quantiles of both kinds of trial, denser in the tails that set low costs."""
    distinct = np.unique(scores)
    if len(distinct) <= NUM_THRESHOLDS:
        return distinct
    third = NUM_THRESHOLDS // 3
    even, tail = np.linspace(0, 1, third), np.geomspace(1 / len(scores), 0.5, third)
    # A quarter of them: what is between two scores of opposite sign must not overflow.
    targets, nontargets = scores[is_target] / 4, scores[~is_target] / 4
    chosen = (np.quantile(targets, even), np.quantile(nontargets, even), np.quantile(nontargets, 1 - tail))
    at = np.searchsorted(distinct / 4, np.concatenate(chosen))
    return np.unique(distinct[at.clip(max=len(distinct) - 1)])


def _summed_down(rows: np.ndarray) -> np.ndarray:
    """Running sums over the rows, in place: `numpy.cumsum` goes down one column after the other, ten times slower."""
    for above, row in itertools.pairwise(rows):
        row += above
    return rows


def replicate_curves(
    scores: np.ndarray,
    is_target: np.ndarray,
    speakers: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    num_replicates: int = NUM_REPLICATES,
) -> Curves:
    """DET curves of bootstrap replicates over speakers.

    Parameters
    ----------
    scores, is_target : (num_trials,) numpy.ndarray
    speakers : pair of (num_trials,) int numpy.ndarray
        Speaker of either side, numbered from 0; every number below the highest belongs to a speaker who could be drawn.
    rng : numpy.random.Generator
    num_replicates : int

    Raises
    ------
    ValueError
        As `det_points` does.
    """
    scores, is_target = checked(scores, is_target)
    left, right = (np.asarray(side) for side in speakers)
    num_speakers = int(max(left.max(), right.max())) + 1
    counts = replicate_counts(num_speakers, rng, num_replicates)
    thresholds = thresholds_of(scores, is_target)
    bins = np.searchsorted(thresholds, scores, side="right") - 1  # rejected by every threshold after its own
    bins = np.maximum(bins, 0)
    misses = csr_array(
        (np.ones(is_target.sum()), (bins[is_target], left[is_target])), shape=(len(thresholds), num_speakers)
    )
    missed = _summed_down(misses @ counts.T).T
    first, second = np.minimum(left, right)[~is_target], np.maximum(left, right)[~is_target]
    pairs, pair_of = np.unique(first.astype(np.int64) * num_speakers + second, return_inverse=True)
    alarms = csr_array((np.ones(len(first)), (bins[~is_target], pair_of)), shape=(len(thresholds), len(pairs)))
    rejected = np.empty_like(missed)
    size = max(1, BLOCK_WEIGHTS // len(pairs))
    for at in range(0, len(counts), size):
        drawn = counts[at : at + size].T
        weights = drawn[pairs // num_speakers] * drawn[pairs % num_speakers]
        rejected[at : at + size] = _summed_down(alarms @ weights).T
    with np.errstate(invalid="ignore"):
        p_miss, p_fa = missed / missed[:, -1:], 1 - rejected / rejected[:, -1:]
    start = np.zeros((len(counts), 1))
    return Curves(np.hstack([start, p_miss]), np.hstack([start + 1, p_fa]), num_speakers)


def interval(values: np.ndarray, num_speakers: int, num_target: int, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of an error rate or a normalised cost from its value and those of its replicates.

    Normal on the probit scale, on which the EER of Gaussian scores is linear in their distance, with a deviation that the
    replicates give and Student's t of `num_speakers` - 1 degrees of freedom. Percentiles of the replicates are far too
    narrow for a dozen speakers, and empty where no error was made.

    Parameters
    ----------
    values : (1 + num_replicates,) numpy.ndarray
        In [0, 1]; the first is the sample's.
    num_speakers, num_target : int
    level : float in (0, 1)

    Returns
    -------
    low, high : float in [0, 1]
        (0, 1), that is nothing is known, if fewer than half of the replicates hold both kinds of trial.
    """
    value, replicates = values[0], values[1:][np.isfinite(values[1:])]
    if num_speakers < 2 or len(replicates) < max(2, (len(values) - 1) / 2):
        return 0.0, 1.0
    floor = 0.5 / num_target  # half an error
    centre, probits = (ndtri(np.clip(v, floor, 1 - floor)) for v in (value, replicates))
    reach = stdtrit(num_speakers - 1, (1 + level) / 2) * probits.std(ddof=1)
    no_errors = 1 - ((1 - level) / 2) ** (1 / num_target)  # as many errors as none in independent trials would allow
    low, high = min(ndtr(centre - reach), value), max(ndtr(centre + reach), value, no_errors)
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Difference between two systems on the same trials.

    Attributes
    ----------
    difference : float
        First minus second.
    low, high : float
        Confidence interval of the difference.
    p_value : float
        Two-sided, of there being no difference.
    """

    difference: float
    low: float
    high: float
    p_value: float


def paired_test(first: np.ndarray, second: np.ndarray, num_speakers: int, level: float = 0.95) -> PairedTest:
    """Test of a difference between two systems, from values on the same replicates of the same trials.

    Student's t of the difference over the deviation of its replicates, `num_speakers` - 1 degrees of freedom: what makes a
    speaker hard for both systems cancels.

    Parameters
    ----------
    first, second : (1 + num_replicates,) numpy.ndarray
        The first of each is the sample's; the others of generators in the same state.
    num_speakers : int
    level : float in (0, 1)
    """
    differences = first - second
    replicates = differences[1:][np.isfinite(differences[1:])]
    difference = float(differences[0])
    if num_speakers < 2 or len(replicates) < max(2, (len(differences) - 1) / 2):
        return PairedTest(difference=difference, low=-1.0, high=1.0, p_value=1.0)
    deviation, freedom = replicates.std(ddof=1), num_speakers - 1
    if deviation == 0:
        return PairedTest(difference=difference, low=difference, high=difference, p_value=float(difference == 0))
    reach = deviation * stdtrit(freedom, (1 + level) / 2)
    p_value = 2 * stdtr(freedom, -abs(difference) / deviation)
    return PairedTest(
        difference=difference, low=float(difference - reach), high=float(difference + reach), p_value=float(p_value)
    )


def eer_interval(
    scores: np.ndarray,
    is_target: np.ndarray,
    speakers: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    level: float = 0.95,
    num_replicates: int = NUM_REPLICATES,
) -> tuple[float, float]:
    """Confidence interval of the EER, in [0, 1]; see `replicate_curves` and `interval`."""
    curves = replicate_curves(scores, is_target, speakers, rng, num_replicates)
    return interval(curves.eers(), curves.num_speakers, int(np.sum(is_target)), level)
