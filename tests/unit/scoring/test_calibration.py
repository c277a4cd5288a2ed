import json

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.stats import norm

from sv.base.config import ConfigError
from sv.kaldi import Trials
from sv.scoring import OperatingPoint, compute_act_dcf, compute_cllr, compute_min_cllr, compute_min_dcf
from sv.scoring.calibration import LogisticCalibration, quality_inputs, read_calibration, write_calibration
from sv.scoring.outliers import Outlier, usual_range


@pytest.fixture(scope="module")
def gaussians() -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of two unit Gaussians 2 apart, whose log-likelihood ratio is 2 x - 2."""
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    return np.concatenate([quantiles + 2, quantiles]), np.arange(40_000) < 20_000


@pytest.mark.parametrize("p_target", [0.01, 0.05, 0.5, 0.9])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (-1e-3, 0.7), (40.0, -5.0)])
def test_gaussian_scores_get_their_log_likelihood_ratio(gaussians, p_target, scale, shift) -> None:
    scores, labels = gaussians
    calibration = LogisticCalibration(p_target).fit((scale * scores + shift)[:, None], labels)
    llrs = calibration.llrs((scale * scores + shift)[:, None])
    np.testing.assert_allclose(llrs, 2 * scores - 2, atol=0.02)


def test_calibrated_scores_cost_what_they_must(gaussians) -> None:
    scores, labels = gaussians
    llrs = LogisticCalibration().fit((0.1 * scores)[:, None], labels).llrs((0.1 * scores)[:, None])
    assert compute_cllr(llrs, labels) == pytest.approx(compute_min_cllr(scores, labels), abs=2e-3)
    for point in (OperatingPoint(0.01), OperatingPoint(0.05), OperatingPoint(0.01, 10, 1)):
        values = point.p_target, point.c_miss, point.c_fa
        assert compute_act_dcf(llrs, labels, *values) == pytest.approx(compute_min_dcf(llrs, labels, *values), abs=5e-3)


def test_the_optimum_is_that_of_another_minimiser(hashed_uniform) -> None:
    labels = hashed_uniform(3, 300) < 0.3
    inputs = np.column_stack([hashed_uniform(1, 300) + 0.4 * labels, hashed_uniform(2, 300) - 0.1 * labels])
    calibration = LogisticCalibration(0.2).fit(inputs, labels)
    weights = np.where(labels, 0.2 / labels.sum(), 0.8 / (~labels).sum())
    signs, scale = np.where(labels, 1, -1), inputs.std(axis=0)

    def loss(theta):
        margins = signs * (inputs @ theta[:2] + theta[2] + np.log(0.2 / 0.8))
        prior = 0.2 / labels.sum() * np.sum((theta[:2] * scale / 10) ** 2) / 2
        return weights @ np.logaddexp(0, -margins) + prior

    found = np.append(calibration.weights_, calibration.offset_)
    other = minimize(
        loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 10_000}
    )
    np.testing.assert_allclose(found, other.x, atol=1e-5)
    np.testing.assert_allclose(approx_fprime(found, loss), 0, atol=1e-6)


def test_fusion_of_independent_systems_adds_their_ratios() -> None:
    # Two unit Gaussians 2 and 1 apart, independent: log-likelihood ratio 2 a - 2 + b - 1 / 2.
    rng = np.random.default_rng(0)
    labels = np.arange(100_000) < 50_000
    scores = rng.normal(size=(100_000, 2)) + labels[:, None] * [2.0, 1.0]
    fused = LogisticCalibration(0.5).fit(scores, labels)
    np.testing.assert_allclose(fused.weights_, [2, 1], atol=0.05)
    assert fused.offset_ == pytest.approx(-2.5, abs=0.05)
    alone = [LogisticCalibration(0.5).fit(scores[:, [i]], labels).llrs(scores[:, [i]]) for i in (0, 1)]
    assert compute_cllr(fused.llrs(scores), labels) < min(compute_cllr(llrs, labels) for llrs in alone) - 0.05


def test_a_quality_that_moves_scores_is_made_up_for() -> None:
    # Short recordings score 1 lower, targets or not: one threshold for all is wrong for both halves.
    rng = np.random.default_rng(1)
    utts = [f"u{i}" for i in range(400)]
    seconds = {utt: 2.0 if i % 2 else 20.0 for i, utt in enumerate(utts)}
    left, right = rng.integers(400, size=(2, 40_000))
    trials = Trials([utts[i] for i in left], [utts[i] for i in right], rng.random(40_000) < 0.5)
    covariates = quality_inputs("duration", seconds, trials)
    shift = covariates[:, 0] / np.log(10)
    scores = rng.normal(size=40_000) + 2 * trials.is_target + shift
    inputs = np.column_stack([scores, covariates])
    calibration = LogisticCalibration(0.5).fit(inputs, trials.is_target)
    np.testing.assert_allclose(calibration.llrs(inputs), 2 * (scores - shift) - 2, atol=0.25)
    assert abs(calibration.weights_[2]) < 0.05  # the difference of the sides moves nothing


def test_covariates_by_hand() -> None:
    trials = Trials(["a", "b"], ["b", "a"], np.array([True, False]))
    found = quality_inputs("duration", {"a": 1.0, "b": np.e**3}, trials)
    np.testing.assert_allclose(found, [[1.5, 3.0], [1.5, 3.0]])
    np.testing.assert_allclose(quality_inputs("snr", {"a": -5.0, "b": 15.0}, trials), [[5, 20], [5, 20]])


def test_separable_trials_get_finite_ratios_with_the_right_signs() -> None:
    scores, labels = np.array([[0.0], [0.1], [0.9], [1.0]]), np.array([False, False, True, True])
    llrs = LogisticCalibration(0.5).fit(scores, labels).llrs(scores)
    assert np.isfinite(llrs).all() and (np.abs(llrs) < 50).all()
    assert (np.sign(llrs) == [-1, -1, 1, 1]).all()


def test_few_speakers_are_trusted_less_the_more_the_scores_separate() -> None:
    scores, labels = np.array([[0.0], [0.1], [0.9], [1.0]] * 50), np.array([False, False, True, True] * 50)
    many, few = (LogisticCalibration(0.5).fit(scores, labels, count).weights_[0] for count in (None, 5))
    assert 0 < few < 0.8 * many
    assert LogisticCalibration(0.5).fit(scores, labels, 1000).weights_[0] == many  # no more than there are trials


def test_speakers_hardly_matter_where_the_data_speak(gaussians) -> None:
    scores, labels = gaussians
    calibration = LogisticCalibration(0.5).fit(scores[:, None], labels, 40)
    assert calibration.weights_[0] == pytest.approx(2, abs=0.02)


NOISE = 2 * np.sin(np.arange(3500) * np.array([[1], [2], [3]]))


@pytest.fixture(scope="module")
def gaussian_trials() -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of 500 targets and 3000 nontargets, 2.5 apart."""
    kinds = (norm.ppf((np.arange(count) + 0.5) / count) + shift for count, shift in ((500, 2.5), (3000, 0.0)))
    return np.concatenate([*kinds]), np.arange(3500) < 500


@pytest.mark.parametrize("row", [7, 2000])  # a target, a nontarget
@pytest.mark.parametrize("value", [-1e300, -1e39, -1e6, -100.0, -20.0, -8.0, 9.0, 20.0, 100.0, 1e6, 1e39, 1e300])
@pytest.mark.parametrize("unit", [1.0, -1e-3, 1e5])
def test_one_outlier_is_refused_or_changes_little(gaussian_trials, row, value, unit) -> None:
    scores, labels = gaussian_trials
    clean = LogisticCalibration().fit(unit * scores[:, None], labels).weights_[0]
    changed = np.where(np.arange(len(scores)) == row, value, scores) * unit
    if (refused := find_outlier(changed[:, None], labels)) is None:
        found = LogisticCalibration().fit(changed[:, None], labels).weights_[0]
        assert found == pytest.approx(clean, rel=0.05)
        return
    assert (refused.row, refused.column) == (row, 0)
    assert str(refused).startswith(f"{value * unit:g} is far outside ")
    assert labels[row] == (value < 0)  # on the wrong side


def find_outlier(inputs: np.ndarray, labels: np.ndarray) -> Outlier | None:
    try:
        LogisticCalibration().fit(inputs, labels)
    except Outlier as error:
        return error
    return None


def test_an_outlier_on_the_wrong_side_is_refused_in_any_column(gaussian_trials) -> None:
    scores, labels = gaussian_trials
    inputs = np.column_stack([scores + NOISE[0], NOISE[1], scores + NOISE[2]])
    inputs[-1, 2] = 1e4
    refused = find_outlier(inputs, labels)
    assert (refused.row, refused.column) == (3499, 2)
    assert "where all others are (but 0), and changes the calibration's weights by " in str(refused)
    inputs[2000:2005, 2] = -1e3, 1e3, 1e3, 1e3, 1e3  # they do not hide each other
    assert "(but 5)" in str(find_outlier(inputs, labels))


def test_many_scores_far_away_are_the_shape_of_the_distribution(gaussian_trials) -> None:
    scores, labels = gaussian_trials
    scores = np.where(np.arange(3500) % 10 == 0, scores + 30, scores)  # another channel, say
    LogisticCalibration().fit(scores[:, None], labels)


def test_clean_scores_and_labels_that_are_wrong_are_no_outliers(gaussian_trials) -> None:
    scores, labels = gaussian_trials
    low, high = usual_range(scores, labels)
    assert (low, high) == (
        pytest.approx(-5, abs=0.01),
        pytest.approx(7.5, abs=0.01),
    )  # five deviations beyond either median
    swapped = labels ^ (np.arange(3500) % 500 == 250)
    LogisticCalibration().fit(scores[:, None], swapped)
    rare = (np.arange(3500) % 100 == 0).astype(float)  # nothing but for a few
    LogisticCalibration().fit(np.column_stack([scores, rare]), labels)


def test_scores_of_any_magnitude_are_calibrated_alike(gaussian_trials) -> None:
    scores, labels = gaussian_trials
    want = LogisticCalibration().fit(scores[:, None], labels).llrs(scores[:, None])
    for unit in (1e-290, 2.0**-700, 2.0**900, 1e306):
        inputs = unit * scores[:, None]
        np.testing.assert_allclose(LogisticCalibration().fit(inputs, labels).llrs(inputs), want, rtol=1e-6, atol=1e-6)


def test_a_constant_input_gets_no_weight() -> None:
    inputs = np.column_stack([[0.0, 0.6, 0.4, 1.0], np.full(4, 3.0)])
    assert LogisticCalibration(0.5).fit(inputs, np.array([False, False, True, True])).weights_[1] == 0


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        ([[0.0], [np.nan]], [True, False], "1 of 2 scores are NaN or infinite"),
        ([[0.0], [1.0]], [True, True], "error rates need target and nontarget trials, got 2 and 0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(inputs, labels, message) -> None:
    with pytest.raises(ValueError, match=message):
        LogisticCalibration().fit(np.array(inputs), np.array(labels))


def test_priors_and_qualities_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"p_target must be in \(0, 1\), got 0"):
        LogisticCalibration(0)
    trials = Trials(["a"], ["b"], np.array([True]))
    with pytest.raises(ValueError, match="unknown quality 'pitch'; there are duration, norm, snr"):
        quality_inputs("pitch", {"a": 1, "b": 1}, trials)
    with pytest.raises(ValueError, match="duration: 1 of 2 values are not positive"):
        quality_inputs("duration", {"a": 1, "b": 0}, trials)
    with pytest.raises(KeyError, match="1 of 2 trial utterances have no snr"):
        quality_inputs("snr", {"a": 1}, trials)


def test_a_calibration_is_read_as_it_was_written(tmp_path) -> None:
    fitted = LogisticCalibration(0.1).fit(np.array([[0.0], [0.6], [0.4], [1.0]]), np.array([False, False, True, True]))
    write_calibration(tmp_path / "c.json", fitted, ["score"], "t" * 64)
    found, record = read_calibration(tmp_path / "c.json")
    np.testing.assert_array_equal(found.llrs(np.eye(1)), fitted.llrs(np.eye(1)))
    assert (record["inputs"], record["trials_sha256"], found.p_target) == (["score"], "t" * 64, 0.1)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"inputs": ["score"], "weights": [1, 2], "offset": 0, "p_target": 0.5, "trials_sha256": "t"},
        {"inputs": ["score"], "weights": [1], "offset": None, "p_target": 0.5, "trials_sha256": "t"},
        {"inputs": ["score"], "weights": [1], "offset": 0, "p_target": 0.5},
    ],
)
def test_another_file_is_no_calibration(tmp_path, record) -> None:
    (tmp_path / "c.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match=r"c.json: not a calibration .*; make one with sv calibrate fit"):
        read_calibration(tmp_path / "c.json")
