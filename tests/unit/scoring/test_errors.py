import numpy as np
import pytest
from scipy.stats import norm

from sv.scoring import OperatingPoint, compute_act_dcf, compute_min_dcf
from sv.scoring.errors import bayes_error_curve, eer_threshold, speaker_errors, worst_trials

# Speakers 0, 1, 2: targets of each, then nontargets.
SCORES = np.array([0.1, 0.9, 0.8, 0.7, 0.95, 0.3, 0.2])
TARGET = np.array([True, True, True, True, False, False, False])
SPEAKERS = np.array([0, 0, 1, 2, 0, 0, 1]), np.array([0, 0, 1, 2, 1, 2, 2])


def test_errors_by_speaker_by_hand() -> None:
    found = speaker_errors(SCORES, TARGET, SPEAKERS, 0.7)
    assert found.targets.tolist() == [2, 1, 1]
    assert found.misses.tolist() == [1, 0, 0]  # 0.7 itself is accepted
    assert found.nontargets.tolist() == [2, 2, 2]
    assert found.false_alarms.tolist() == [1, 1, 0]
    np.testing.assert_allclose(found.share, [0.75, 0.25, 0])


def test_shares_are_of_the_errors_there_are() -> None:
    assert speaker_errors(SCORES, TARGET, SPEAKERS, 0.0).share.tolist() == [pytest.approx(1 / 3)] * 3
    clean = speaker_errors(
        np.array([1.0, 1, 0]), np.array([True, True, False]), (np.array([0, 1, 0]), np.array([0, 1, 1])), 0.5
    )
    assert clean.share.tolist() == [0, 0]


def test_worst_trials_by_hand() -> None:
    misses, false_alarms = worst_trials(SCORES, TARGET, 2)
    assert misses.tolist() == [0, 3]
    assert false_alarms.tolist() == [4, 5]


def test_misses_are_as_frequent_as_false_alarms_at_the_eer_threshold() -> None:
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    scores, is_target = np.concatenate([quantiles + 2, quantiles]), np.arange(40_000) < 20_000
    assert eer_threshold(scores, is_target) == pytest.approx(1, abs=1e-3)


def test_the_bayes_error_curve_is_the_cost_at_each_prior(hashed_uniform) -> None:
    is_target = hashed_uniform(1, 500) < 0.3
    llrs = 4 * hashed_uniform(2, 500) - 2 + 2 * is_target
    priors = np.array([0.01, 0.2, 0.5, 0.9])
    actual, least = bayes_error_curve(llrs, is_target, np.log(priors / (1 - priors)))
    for prior, one, other in zip(priors, actual, least):
        assert OperatingPoint(prior).threshold == pytest.approx(-np.log(prior / (1 - prior)))
        assert one == pytest.approx(compute_act_dcf(llrs, is_target, prior))
        assert other == pytest.approx(compute_min_dcf(llrs, is_target, prior))
