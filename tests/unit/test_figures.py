import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from sv import figures


def score_list(seed: int = 0, count: int = 200, condition: str = "clean") -> figures.ScoreList:
    rng = np.random.default_rng(seed)
    is_target = np.arange(count) % 2 == 0
    return figures.ScoreList(
        system="a", condition=condition, scores=rng.normal(size=count) + 2 * is_target, is_target=is_target
    )


def test_an_svg_scales_and_is_described_and_reproducible() -> None:
    drawn = figures.det_curves([score_list()])
    root = ET.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "width" not in root.attrib and "height" not in root.attrib and root.attrib["viewBox"]
    assert (root.attrib["role"], root.attrib["aria-label"]) == ("img", "DET curves")
    assert drawn == figures.det_curves([score_list()])


def test_det_axes_are_probits_and_curves_pass_the_eer(monkeypatch) -> None:
    from scipy.stats import norm

    drawn = {}
    original = figures.Axes.plot

    def record(self, x, y, **kwargs):
        drawn.setdefault("lines", []).append((np.asarray(x), np.asarray(y)))
        return original(self, x, y, **kwargs)

    monkeypatch.setattr(figures.Axes, "plot", record)
    quantiles = norm.ppf((np.arange(2000) + 0.5) / 2000)
    scores, is_target = np.concatenate([quantiles + 2, quantiles]), np.arange(4000) < 2000
    figures.det_curves([figures.ScoreList(system="a", condition="clean", scores=scores, is_target=is_target)])
    x, y = drawn["lines"][0]
    inside = (np.abs(x) < 1.5) & (np.abs(y) < 1.5)
    # Two unit Gaussians 2 apart are a straight line on probit axes: probit(miss) = -2 - probit(false alarm).
    np.testing.assert_allclose(y[inside], -2 - x[inside], atol=0.02)


def test_a_million_scores_make_a_small_drawing() -> None:
    assert len(figures.det_curves([score_list(count=1_000_000)])) < 300_000
    assert len(figures.score_histogram(score_list(count=1_000_000), (-4.0, 6.0))) < 60_000


def test_training_curve_of_nothing_is_nothing() -> None:
    assert figures.training_curve([[], [{"step": 1, "loss": 2.0}]], "valid_eer", "held-out EER (%)") == ""


@pytest.mark.parametrize("name", ["a<b", 'a"b', "a&b"])
def test_names_are_escaped(name) -> None:
    item = score_list(condition=name)
    ET.fromstring(figures.score_histogram(item, (-4.0, 6.0)))


def test_colours_repeat_after_the_last() -> None:
    assert figures.colour_of(0) == figures.colour_of(len(figures.COLOURS))
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in figures.COLOURS)
