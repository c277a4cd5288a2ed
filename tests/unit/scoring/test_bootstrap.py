import numpy as np
import pytest
from scipy.stats import norm

from sv.scoring import (
    OperatingPoint,
    compute_eer,
    compute_min_dcf,
    eer_interval,
    interval,
    paired_test,
    replicate_curves,
)
from sv.scoring.bootstrap import NUM_THRESHOLDS, replicate_counts, thresholds_of
from sv.scoring.metrics import crossing

POINT = OperatingPoint(0.05)


def joined(targets, nontargets) -> tuple[np.ndarray, np.ndarray]:
    labels = np.concatenate([np.ones(len(targets), bool), np.zeros(len(nontargets), bool)])
    return np.concatenate([targets, nontargets]), labels


def speaker_trials(rng: np.random.Generator, num_speakers: int, spread: float, distance: float = 3.0, systems: int = 1):
    """Scores with a random effect of each speaker, half of it shared by the systems; unit Gaussians, `distance` apart."""
    within = np.sqrt(1 - spread**2)
    speaker = np.repeat(np.arange(num_speakers), 20)
    pairs = np.triu_indices(num_speakers, 1)
    drawn = rng.integers(len(pairs[0]), size=40 * num_speakers)
    left, right = pairs[0][drawn], pairs[1][drawn]
    sides = np.concatenate([speaker, left]), np.concatenate([speaker, right])
    common = [rng.normal(size=size) for size in (num_speakers, num_speakers, len(speaker), len(left))]
    scores = []
    for _ in range(systems):
        own, other, target, nontarget = (np.sqrt(0.5) * (part + rng.normal(size=len(part))) for part in common)
        targets = distance + spread * own[speaker] + within * target
        scores.append(
            np.concatenate([targets, spread * (other[left] + other[right]) / np.sqrt(2) + within * nontarget])
        )
    labels = np.arange(len(sides[0])) < len(speaker)
    return (*scores, labels, sides)


def test_row_zero_is_the_sample_itself() -> None:
    scores, labels, sides = speaker_trials(np.random.default_rng(0), 15, 0.5)
    curves = replicate_curves(scores, labels, sides, np.random.default_rng(0), 3)
    assert curves.eers()[0] == pytest.approx(compute_eer(scores, labels), abs=1e-12)
    wide = len(np.unique(scores)) <= NUM_THRESHOLDS
    assert curves.min_dcfs(POINT)[0] == pytest.approx(
        compute_min_dcf(scores, labels, 0.05), abs=1e-12 if wide else 0.01
    )


def test_replicates_are_curves_of_repeated_trials() -> None:
    scores, labels, (left, right) = speaker_trials(np.random.default_rng(1), 6, 0.5)
    counts = replicate_counts(6, np.random.default_rng(2), 4).astype(int)
    curves = replicate_curves(scores, labels, (left, right), np.random.default_rng(2), 4)
    for row, count in enumerate(counts):
        weights = np.where(labels, count[left], count[left] * count[right])
        repeated = np.repeat(scores, weights), np.repeat(labels, weights)
        assert curves.eers()[row] == pytest.approx(compute_eer(*repeated), abs=1e-12)
        assert curves.min_dcfs(POINT)[row] == pytest.approx(compute_min_dcf(*repeated, 0.05), abs=1e-12)


def test_many_scores_are_resolved_finely_enough() -> None:
    quantiles = norm.ppf((np.arange(50_000) + 0.5) / 50_000)
    scores, labels = joined(quantiles + 3, quantiles)
    assert len(thresholds_of(scores, labels)) <= NUM_THRESHOLDS
    sides = (np.arange(len(scores)) % 7, (np.arange(len(scores)) + ~labels) % 7)
    curves = replicate_curves(scores, labels, sides, np.random.default_rng(0), 1)
    assert curves.eers()[0] == pytest.approx(norm.cdf(-1.5), abs=2e-4)
    assert curves.min_dcfs(OperatingPoint(0.01))[0] == pytest.approx(compute_min_dcf(scores, labels, 0.01), abs=3e-3)


@pytest.mark.parametrize(("num_speakers", "spread", "distance"), [(5, 0.5, 3), (8, 0.7, 3), (12, 0.5, 3), (40, 0.5, 3)])
def test_intervals_cover_the_truth_at_their_nominal_rate(num_speakers, spread, distance) -> None:
    eer, axis, covered = norm.cdf(-distance / 2), np.linspace(-3, 8, 4001), []
    min_dcf = POINT.cost(norm.cdf(axis - distance), norm.sf(axis)).min()
    for repetition in range(200):
        rng = np.random.default_rng((num_speakers, repetition))
        scores, labels, sides = speaker_trials(rng, num_speakers, spread, distance)
        curves = replicate_curves(scores, labels, sides, rng, 200)
        for values, truth in ((curves.eers(), eer), (curves.min_dcfs(POINT), min_dcf)):
            low, high = interval(values, num_speakers, labels.sum())
            covered.append(low <= truth <= high)
    eer_rate, dcf_rate = np.mean(covered[::2]), np.mean(covered[1::2])
    # Nominal, give or take three standard deviations of a count of 200; a little more is no harm, but not all.
    assert 0.90 <= eer_rate <= 0.995, eer_rate
    assert 0.90 <= dcf_rate <= 0.995, dcf_rate


@pytest.mark.parametrize("num_speakers", [8, 30])
def test_equal_systems_differ_significantly_as_often_as_the_level_says(num_speakers) -> None:
    found = []
    for repetition in range(200):
        first, second, labels, sides = speaker_trials(np.random.default_rng(repetition), num_speakers, 0.5, systems=2)
        curves = [
            replicate_curves(scores, labels, sides, np.random.default_rng(repetition), 200)
            for scores in (first, second)
        ]
        found.append(paired_test(curves[0].eers(), curves[1].eers(), num_speakers).p_value < 0.05)
    assert 0 < np.mean(found) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_a_pair_of_systems_is_told_apart_where_their_intervals_overlap() -> None:
    scores, labels, sides = speaker_trials(np.random.default_rng(3), 30, 0.7)
    worse = scores - 0.5 * labels
    curves = [replicate_curves(s, labels, sides, np.random.default_rng(0), 500) for s in (scores, worse)]
    intervals = [interval(own.eers(), 30, labels.sum()) for own in curves]
    assert intervals[0][1] > intervals[1][0]
    test = paired_test(curves[0].eers(), curves[1].eers(), 30)
    assert test.p_value < 0.01
    assert test.low < test.difference < test.high < 0
    back = paired_test(curves[1].eers(), curves[0].eers(), 30)
    assert (back.difference, back.low, back.p_value) == (-test.difference, -test.high, test.p_value)


def test_a_system_does_not_differ_from_itself() -> None:
    scores, labels, sides = speaker_trials(np.random.default_rng(4), 10, 0.5)
    eers = replicate_curves(scores, labels, sides, np.random.default_rng(0), 50).eers()
    test = paired_test(eers, eers, 10)
    assert (test.difference, test.low, test.high, test.p_value) == (0, 0, 0, 1)


def test_interval_is_wider_than_one_that_takes_trials_for_independent() -> None:
    scores, labels, sides = speaker_trials(np.random.default_rng(1), 40, 0.7)
    low, high = eer_interval(scores, labels, sides, np.random.default_rng(0))
    alone = np.arange(len(scores))
    naive_low, naive_high = eer_interval(scores, labels, (alone, alone), np.random.default_rng(0), num_replicates=100)
    assert high - low > 1.5 * (naive_high - naive_low)


def test_interval_is_a_function_of_the_seed_and_not_of_the_order_of_trials() -> None:
    scores, labels, sides = speaker_trials(np.random.default_rng(2), 12, 0.5)
    order = np.random.default_rng(3).permutation(len(scores))
    first = eer_interval(scores, labels, sides, np.random.default_rng(0))
    again = eer_interval(scores[order], labels[order], tuple(side[order] for side in sides), np.random.default_rng(0))
    assert first == again
    assert first != eer_interval(scores, labels, sides, np.random.default_rng(1))


def test_no_errors_in_a_hundred_trials_do_not_mean_an_error_rate_of_zero() -> None:
    scores, labels = joined(np.ones(100), np.zeros(400))
    sides = (np.arange(500) % 10, (np.arange(500) + ~labels) % 10)
    low, high = eer_interval(scores, labels, sides, np.random.default_rng(0))
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 100))  # Clopper and Pearson of 0 in 100


def test_nothing_is_known_of_one_speaker_or_if_most_replicates_are_undefined() -> None:
    scores, labels = joined([0.0, 2.0, 3.0], [-1.0, 0.5, 1.0])
    nobody = np.zeros(6, dtype=int)
    assert eer_interval(scores, labels, (nobody, nobody), np.random.default_rng(0)) == (0.0, 1.0)
    # A target of speaker 0, a nontarget of speakers 1 and 2: all three are drawn in 2 of 9 replicates.
    sides = np.array([0, 1]), np.array([0, 2])
    rare = np.array([1.0, 0.0]), np.array([True, False])
    assert eer_interval(*rare, sides, np.random.default_rng(0)) == (0.0, 1.0)
    eers = replicate_curves(*rare, sides, np.random.default_rng(0)).eers()
    test = paired_test(eers, eers, 3)
    assert (test.low, test.high, test.p_value) == (-1, 1, 1)


def test_crossing_agrees_with_the_vectorised_one() -> None:
    scores, labels, sides = speaker_trials(np.random.default_rng(5), 9, 0.5)
    curves = replicate_curves(scores, labels, sides, np.random.default_rng(0), 20)
    for row, eer in enumerate(curves.eers()):
        assert crossing(curves.p_miss[row], curves.p_fa[row]) == pytest.approx(eer, abs=1e-12)


def test_intervals_of_scores_near_the_largest_number_are_those_of_others() -> None:
    rng = np.random.default_rng(3)
    is_target, speakers = np.arange(4000) < 800, (rng.integers(20, size=4000), rng.integers(20, size=4000))
    scores = np.clip(rng.normal(1.0 * is_target, 1), -4, 4)
    want, found = (eer_interval(s, is_target, speakers, np.random.default_rng(0)) for s in (scores, 2.0**1021 * scores))
    assert found == want
