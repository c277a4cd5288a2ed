import numpy as np
import pytest
from scipy.stats import norm

from sv.scoring import (
    OperatingPoint,
    ScoreRuns,
    compute_act_dcf,
    compute_cllr,
    compute_eer,
    compute_eer_kaldi,
    compute_min_cllr,
    compute_min_dcf,
    summarise,
)
from sv.scoring.streaming import COUNTED

POINTS = ((0.01, 1.0, 1.0), (0.05, 1.0, 1.0), (0.01, 10.0, 1.0), (0.9, 1.0, 1.0))


def streamed(folder, scores, is_target, run_scores, parts=1):
    runs = ScoreRuns(folder, run_scores)
    for part in np.array_split(np.random.default_rng(0).permutation(len(scores)), parts):
        runs.add(scores[part], is_target[part])
    return summarise(runs.blocks(), runs.num_target, runs.num_nontarget, [OperatingPoint(*point) for point in POINTS])


@pytest.mark.parametrize("digits", [0, 1, 3, 9, 17])  # from a handful of values, nearly all tied, to none tied
@pytest.mark.parametrize(("run_scores", "parts"), [(10, 3), (64, 40), (100_000, 1)])
def test_streamed_numbers_are_those_of_arrays(tmp_path, digits, run_scores, parts) -> None:
    rng = np.random.default_rng(digits)
    is_target = rng.random(2000) < 0.2
    scores = (rng.normal(size=2000) + 1.5 * is_target).round(digits)
    found = streamed(tmp_path, scores, is_target, run_scores, parts)
    assert (found.num_target, found.num_nontarget) == (is_target.sum(), (~is_target).sum())
    assert found.eer == pytest.approx(compute_eer(scores, is_target), abs=1e-12)
    assert found.eer_kaldi == compute_eer_kaldi(scores, is_target)
    assert found.cllr == pytest.approx(compute_cllr(scores, is_target), abs=1e-12)
    assert found.min_cllr == pytest.approx(compute_min_cllr(scores, is_target), abs=1e-12)
    for point, least, actual in zip(POINTS, found.min_dcf, found.act_dcf):
        assert least == pytest.approx(compute_min_dcf(scores, is_target, *point), abs=1e-12)
        assert actual == pytest.approx(compute_act_dcf(scores, is_target, *point), abs=1e-12)


@pytest.mark.parametrize(
    ("targets", "nontargets"), [([2.0, 3.0], [0.0, 1.0]), ([0.0, 1.0], [2.0, 3.0]), ([1.0], [1.0])]
)
def test_separated_and_tied_lists(tmp_path, targets, nontargets) -> None:
    scores = np.array(targets + nontargets)
    is_target = np.arange(len(scores)) < len(targets)
    found = streamed(tmp_path, scores, is_target, 1)
    assert found.eer == compute_eer(scores, is_target)
    assert found.eer_kaldi == compute_eer_kaldi(scores, is_target)
    assert found.min_cllr == compute_min_cllr(scores, is_target)


def test_scores_that_float32_cannot_tell_apart_stay_together(tmp_path) -> None:
    # Kaldi's programs read float32; a block that began between such scores would count them as ordered.
    scores = 1 + 1e-9 * np.arange(64.0)
    is_target = np.arange(64) % 2 == 1
    assert streamed(tmp_path, scores, is_target, 4, 16).eer_kaldi == compute_eer_kaldi(scores, is_target)
    runs = ScoreRuns(tmp_path, 4)
    runs.add(scores, is_target)
    assert [len(block) for block in runs.blocks()] == [64]


def test_blocks_ascend_and_are_no_longer_than_two_runs(tmp_path) -> None:
    runs, scores = ScoreRuns(tmp_path, 1000), np.random.default_rng(0).normal(size=20_000)
    runs.add(scores, scores > 0)
    blocks = list(runs.blocks())
    assert len(blocks) > 10
    assert max(len(block) for block in blocks) <= 2000
    np.testing.assert_array_equal(np.concatenate(blocks)["score"], np.sort(scores))


def test_two_gaussians_in_more_scores_than_a_run(tmp_path) -> None:
    quantiles = norm.ppf((np.arange(50_000) + 0.5) / 50_000)
    scores, is_target = np.concatenate([quantiles + 2, quantiles]), np.arange(100_000) < 50_000
    assert streamed(tmp_path, scores, is_target, 5000).eer == pytest.approx(norm.cdf(-1), abs=1e-5)


@pytest.mark.parametrize("label", [True, False])
def test_a_list_of_one_class_is_refused(tmp_path, label) -> None:
    with pytest.raises(ValueError, match="error rates need target and nontarget trials, got"):
        streamed(tmp_path, np.zeros(3), np.full(3, label), 10)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="error rates need target and nontarget trials, got 0 and 0"):
        summarise(iter([np.empty(0, dtype=COUNTED)]), 0, 0, [])


STEEP = {
    "beyond float32": lambda z: np.sign(z) * np.exp(200 * np.abs(z)),  # up to some 1e300
    "near the largest double": lambda z: 4e307 * z,
    "denormal": lambda z: z * 1e-300 * 1e-10,
    "smaller than float32's least": lambda z: z * 1e-60,
}


@pytest.mark.parametrize("name", STEEP)
@pytest.mark.parametrize("run_scores", [50, 100_000])
def test_error_rates_depend_on_order_alone_at_any_magnitude(tmp_path, name, run_scores) -> None:
    rng = np.random.default_rng(1)
    is_target = np.arange(600) < 150
    plain = np.clip(rng.normal(1.5 * is_target, 1), -3.4, 3.4).round(3)
    steep = STEEP[name](plain)
    assert np.isfinite(steep).all()
    assert len(np.unique(steep)) == len(np.unique(plain))
    want, found = (streamed(tmp_path, scores, is_target, run_scores, 3) for scores in (plain, steep))
    for field in ("num_target", "num_nontarget", "eer", "eer_kaldi", "min_dcf"):
        assert getattr(found, field) == getattr(want, field)
    assert found.min_cllr == pytest.approx(want.min_cllr, abs=1e-12)
    assert compute_eer_kaldi(steep, is_target) == want.eer_kaldi
    assert compute_min_dcf(steep, is_target, 0.01) == pytest.approx(want.min_dcf[0], abs=1e-12)
    assert not np.isnan(found.cllr)


def test_cost_of_huge_ratios_by_hand(tmp_path) -> None:
    # The target at -1e300 costs 1e300 / ln 2 bits, the others nothing: half of a quarter of that in the mean.
    scores, is_target = np.array([1e300, 1e300, 1e300, -1e300, -1e300]), np.arange(5) < 4
    assert streamed(tmp_path, scores, is_target, 10).cllr == pytest.approx(1e300 / np.log(2) / 8)
    assert compute_cllr(scores[[0, 4]], is_target[[0, 4]]) == 0
