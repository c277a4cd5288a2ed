import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from sv.scoring import (
    OperatingPoint,
    compute_act_dcf,
    compute_cllr,
    compute_eer,
    compute_eer_kaldi,
    compute_min_cllr,
    compute_min_dcf,
    det_points,
)
from sv.scoring.metrics import pool_adjacent_violators

GOLDEN = Path(__file__).parents[2] / "golden" / "kaldi_plda"


def joined(targets, nontargets) -> tuple[np.ndarray, np.ndarray]:
    labels = np.concatenate([np.ones(len(targets), bool), np.zeros(len(nontargets), bool)])
    return np.concatenate([targets, nontargets]), labels


@pytest.fixture(scope="module")
def gaussians() -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of two unit Gaussians 2 apart."""
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    return joined(quantiles + 2, quantiles)


@pytest.fixture(scope="module")
def kaldi_scores() -> tuple[np.ndarray, np.ndarray]:
    lines = [
        gzip.decompress((GOLDEN / f"{name}.gz").read_bytes()).decode().splitlines() for name in ("A.scores", "trials")
    ]
    scores, trials = ([line.split() for line in table] for table in lines)
    assert [row[:2] for row in scores] == [row[:2] for row in trials]
    return np.array([float(row[2]) for row in scores]), np.array([row[2] == "target" for row in trials])


@pytest.fixture(scope="module")
def hashed_scores(hashed_uniform) -> tuple[np.ndarray, np.ndarray]:
    """400 target and 4000 nontarget scores of the published parity values."""
    targets = 0.35 + np.mean([hashed_uniform(30 + j, 400) for j in range(6)], axis=0)
    return joined(targets, np.mean([hashed_uniform(40 + j, 4000) for j in range(6)], axis=0))


def test_eer_of_two_unit_gaussians_is_phi_of_minus_half_d_prime(gaussians) -> None:
    assert compute_eer(*gaussians) == pytest.approx(norm.cdf(-1), abs=1e-5)


@pytest.mark.parametrize(("p_target", "c_miss", "c_fa"), [(0.01, 1, 1), (0.05, 1, 1), (0.01, 10, 1), (0.5, 1, 3)])
def test_min_dcf_of_two_unit_gaussians_is_that_of_the_bayes_threshold(gaussians, p_target, c_miss, c_fa) -> None:
    odds = (c_fa * (1 - p_target)) / (c_miss * p_target)
    threshold = 1 + np.log(odds) / 2  # log-likelihood ratio of these Gaussians: 2 x - 2
    cost = c_miss * p_target * norm.cdf(threshold - 2) + c_fa * (1 - p_target) * norm.sf(threshold)
    constant = min(c_miss * p_target, c_fa * (1 - p_target))
    one_false_alarm = c_fa * (1 - p_target) / 20_000 / constant
    assert compute_min_dcf(*gaussians, p_target, c_miss, c_fa) == pytest.approx(cost / constant, abs=one_false_alarm)


def test_published_parity_values(hashed_scores) -> None:
    assert compute_eer(*hashed_scores) == pytest.approx(0.0700, abs=5e-5)
    assert compute_min_dcf(*hashed_scores, 0.01, 10, 1) == pytest.approx(0.324325, abs=5e-7)
    assert compute_min_dcf(*hashed_scores, 0.01) == pytest.approx(0.5590, abs=5e-5)
    assert compute_min_dcf(*hashed_scores, 0.05) == pytest.approx(0.37025, abs=5e-6)


def test_kaldis_own_programs_on_the_same_scores(kaldi_scores) -> None:
    assert 100 * compute_eer_kaldi(*kaldi_scores) == pytest.approx(3.88889, abs=5e-6)
    for p_target, printed in ((0.05, 0.3430), (0.01, 0.4751), (0.001, 0.9167)):
        assert compute_min_dcf(*kaldi_scores, p_target) == pytest.approx(printed, abs=5e-5)


def test_kaldi_eer_steps_through_the_targets_as_its_loop_does() -> None:
    rng = np.random.default_rng(0)
    for num_targets, num_nontargets in ((1, 5), (7, 3), (10, 100), (48, 17)):
        scores, labels = joined(rng.normal(1, 1, num_targets).round(1), rng.normal(0, 1, num_nontargets).round(1))
        targets, nontargets = (np.sort(scores[kind].astype(np.float32)) for kind in (labels, ~labels))
        for step in range(num_targets):  # to the last target if nothing stops it
            rank = max(0, num_nontargets - 1 - num_nontargets * step // num_targets)
            if nontargets[rank] < targets[step]:
                break
        assert compute_eer_kaldi(scores, labels) == step / num_targets


def test_det_points_by_hand_with_a_tie_across_the_classes() -> None:
    p_miss, p_fa, thresholds = det_points(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, True, False, True]))
    assert p_miss.tolist() == [0, 0, 0.5, 1]
    assert p_fa.tolist() == [1, 0.5, 0, 0]
    assert thresholds.tolist() == [1, 2, 3, np.inf]


def test_tied_scores_are_one_operating_point_whatever_their_order() -> None:
    # All scores equal: only "accept all" and "reject all" exist, and the line between them crosses at one half.
    scores, labels = np.zeros(10), np.arange(10) < 3
    for order in (np.arange(10), np.arange(10)[::-1]):
        assert compute_eer(scores[order], labels[order]) == 0.5
        assert compute_min_dcf(scores[order], labels[order]) == 1.0


def test_eer_is_interpolated_between_operating_points() -> None:
    # Points (p_miss, p_fa): ... (0, 1/2), (1, 0): the line between them crosses at 1/3.
    assert compute_eer(np.array([0.0, 1.0, 1.0]), np.array([False, False, True])) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("targets", "nontargets", "eer"), [([2, 3], [0, 1], 0.0), ([0, 1], [2, 3], 1.0)])
def test_separated_scores(targets, nontargets, eer) -> None:
    assert compute_eer(*joined(targets, nontargets)) == eer
    assert compute_min_dcf(*joined(targets, nontargets)) == eer


def test_metrics_depend_on_the_ranks_alone(hashed_scores) -> None:
    scores, labels = hashed_scores
    assert compute_eer(np.exp(5 * scores), labels) == compute_eer(scores, labels)
    assert compute_min_dcf(np.exp(5 * scores), labels) == compute_min_dcf(scores, labels)


def test_min_dcf_never_exceeds_the_constant_decisions() -> None:
    scores, labels = joined([0.0, 1.0], [2.0, 3.0])
    for p_target in (0.01, 0.5, 0.99):  # at 0.99 "accept everything" is the better constant
        assert compute_min_dcf(scores, labels, p_target) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.0, np.nan, np.inf], [True, False, False], "2 of 3 scores are NaN or infinite"),
        ([0.0, 1.0], [False, False], "error rates need target and nontarget trials, got 0 and 2"),
        ([0.0, 1.0], [True, True], "error rates need target and nontarget trials, got 2 and 0"),
        ([], [], "error rates need target and nontarget trials, got 0 and 0"),
        ([0.0, 1.0], [True], r"scores are \(2,\), labels \(1,\): one of each a trial"),
    ],
)
@pytest.mark.parametrize(
    "metric",
    [compute_eer, compute_eer_kaldi, compute_min_dcf, compute_act_dcf, compute_cllr, compute_min_cllr, det_points],
)
def test_undefined_metrics_are_refused(metric, scores, labels, message) -> None:
    with pytest.raises(ValueError, match=message):
        metric(np.array(scores), np.array(labels, dtype=bool))


def test_priors_and_costs_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"p_target must be in \(0, 1\), got 1.5"):
        compute_min_dcf(np.array([0.0, 1.0]), np.array([False, True]), 1.5)
    with pytest.raises(ValueError, match=r"c_miss and c_fa must be positive, got 1.0 and -1.0"):
        compute_min_dcf(np.array([0.0, 1.0]), np.array([False, True]), 0.01, 1.0, -1.0)


@pytest.mark.parametrize("point", [(0.01, 1, 1), (0.05, 1, 1), (0.01, 10, 1), (0.5, 1, 3)])
def test_calibrated_gaussians_cost_at_their_threshold_what_theory_says(gaussians, point) -> None:
    scores, labels = gaussians
    llrs = 2 * scores - 2
    where = (OperatingPoint(*point).threshold + 2) / 2
    cost = OperatingPoint(*point).cost(norm.cdf(where - 2), norm.sf(where))
    one_trial = OperatingPoint(*point).cost(1 / 20_000, 1 / 20_000)
    assert compute_act_dcf(llrs, labels, *point) == pytest.approx(cost, abs=one_trial)
    assert compute_act_dcf(llrs, labels, *point) == pytest.approx(compute_min_dcf(llrs, labels, *point), abs=one_trial)


def test_act_dcf_by_hand() -> None:
    # At p = 0.5 the threshold is 0, which is accepted: one of two targets missed, one of four nontargets accepted.
    scores, labels = joined([0.0, -1.0], [1.0, -1.0, -2.0, -3.0])
    assert compute_act_dcf(scores, labels, 0.5) == pytest.approx(0.5 + 0.25)
    # Twice the cost of a miss halves the odds: threshold -log 2, still above -1.
    assert compute_act_dcf(scores, labels, 0.5, 2.0) == pytest.approx(2 * 0.5 + 0.25)


def test_cllr_of_calibrated_gaussians_is_the_integral(gaussians) -> None:
    scores, labels = gaussians
    x = np.linspace(-12, 14, 200_001)
    llr = 2 * x - 2
    bits = 0.5 * (norm.pdf(x - 2) * np.logaddexp(0, -llr) + norm.pdf(x) * np.logaddexp(0, llr)) / np.log(2)
    expected = np.trapezoid(bits, x)
    assert compute_cllr(2 * scores - 2, labels) == pytest.approx(expected, abs=1e-4)
    # These very scores are calibrated as well as they can be, but for the noise that PAV can fit.
    assert compute_min_cllr(scores, labels) == pytest.approx(expected, abs=2e-3)
    assert compute_min_cllr(scores, labels) <= compute_cllr(2 * scores - 2, labels)


def test_cllr_of_scores_that_say_nothing_is_one_bit() -> None:
    labels = np.arange(10) < 3
    assert compute_cllr(np.zeros(10), labels) == pytest.approx(1.0)
    assert compute_min_cllr(np.zeros(10), labels) == pytest.approx(1.0)


def test_min_cllr_by_hand() -> None:
    # Blocks: {0: nontarget}, {1: target, 2: nontarget} pooled, {3: target}; only the middle one costs anything, 1 bit for
    # half of either kind.
    scores, labels = np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, True, False, True])
    assert compute_min_cllr(scores, labels) == pytest.approx(0.5)
    assert compute_min_cllr(*joined([2.0, 3.0], [0.0, 1.0])) == 0.0


def test_no_monotone_map_has_less_cllr_than_min_cllr(hashed_scores) -> None:
    scores, labels = hashed_scores
    least = compute_min_cllr(scores, labels)
    assert compute_min_cllr(np.exp(scores), labels) == pytest.approx(least, abs=1e-12)
    best = min(
        compute_cllr(slope * (scores - centre), labels)
        for slope in range(5, 60, 5)
        for centre in np.arange(0.5, 1, 0.05)
    )
    assert 0.5 * best < least <= best


def test_pooling_parts_first_changes_nothing(hashed_scores) -> None:
    _, labels = hashed_scores
    targets = labels[np.argsort(hashed_scores[0])].astype(int)
    whole = pool_adjacent_violators(targets, 1 - targets)
    parts = [pool_adjacent_violators(part, 1 - part) for part in np.array_split(targets, 7)]
    again = pool_adjacent_violators(*(np.concatenate(side) for side in zip(*parts)))
    for one, other in zip(whole, again):
        np.testing.assert_array_equal(one, other)


def test_an_operating_point_names_itself_and_its_threshold() -> None:
    assert str(OperatingPoint(0.01)) == "0.01"
    assert str(OperatingPoint(0.01, 10, 1)) == "0.01,10,1"
    assert OperatingPoint(0.01, 10, 1).threshold == pytest.approx(np.log(9.9))
