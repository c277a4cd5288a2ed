import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy.stats import norm

from sv.kaldi import Trials
from sv.report import drawing, figures
from sv.results.folder import ScoreList
from sv.scoring.errors import SpeakerErrors


def as_list(scores: np.ndarray, is_target: np.ndarray, noise: str | None = None) -> ScoreList:
    trials = Trials(["a"] * len(scores), ["b"] * len(scores), is_target)
    row = {"system": "a", "test_set": "test", "condition": "x", "noise": noise, "snr_db": 5.0}
    return ScoreList(row=row, trials=trials, scores=scores, utt2spk={})


def score_list(seed: int = 0, count: int = 200, noise: str | None = None) -> ScoreList:
    is_target = np.arange(count) % 2 == 0
    return as_list(np.random.default_rng(seed).normal(size=count) + 2 * is_target, is_target, noise)


def test_an_svg_scales_and_is_described_and_reproducible() -> None:
    drawn = figures.det_curves([score_list()]).svg
    root = ET.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "width" not in root.attrib and "height" not in root.attrib and root.attrib["viewBox"]
    assert (root.attrib["role"], root.attrib["aria-label"]) == ("img", "DET curves")
    assert drawn == figures.det_curves([score_list()]).svg


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """The lines that are plotted."""
    lines, original = [], figures.Axes.plot

    def record(self, x, y, **kwargs):
        lines.append((np.asarray(x), np.asarray(y)))
        return original(self, x, y, **kwargs)

    monkeypatch.setattr(figures.Axes, "plot", record)
    return lines


def two_gaussians() -> tuple[np.ndarray, np.ndarray]:
    quantiles = norm.ppf((np.arange(2000) + 0.5) / 2000)
    return np.concatenate([quantiles + 2, quantiles]), np.arange(4000) < 2000


def test_det_axes_are_probits_and_curves_pass_the_eer(drawn) -> None:
    figures.det_curves([as_list(*two_gaussians())])
    x, y = drawn[0]
    inside = (np.abs(x) < 1.5) & (np.abs(y) < 1.5)
    # Two unit Gaussians 2 apart are a straight line on probit axes: probit(miss) = -2 - probit(false alarm).
    np.testing.assert_allclose(y[inside], -2 - x[inside], atol=0.02)


def test_bayes_errors_of_calibrated_scores_are_the_least_there_are(drawn) -> None:
    scores, is_target = two_gaussians()
    figures.bayes_errors([as_list(2 * scores - 2, is_target)])
    (x, actual), (_, least) = drawn
    common = np.abs(x) < 2  # beyond, the threshold can be fitted to the few trials that matter
    np.testing.assert_allclose(actual[common], least[common], atol=0.02)
    assert (actual >= least).all()
    assert actual[np.argmin(np.abs(x))] == pytest.approx(2 * norm.cdf(-1), abs=0.01)
    drawn.clear()
    figures.bayes_errors([as_list(2 * scores + 1, is_target)])  # three nats too high
    (_, actual), (_, least) = drawn
    assert np.max(actual - least) > 1


def test_speakers_are_dots_at_their_rates(monkeypatch) -> None:
    dots = []
    monkeypatch.setattr(figures.Axes, "scatter", lambda self, x, y, **kwargs: dots.append((x.tolist(), y.tolist())))
    counts = [np.array(values) for values in ([4, 0, 2], [1, 0, 2], [10, 5, 20], [5, 5, 0])]
    found = figures.speaker_scatter("clean", [("ours", SpeakerErrors(*counts, share=np.array([0.2, 0, 0.8])), "abc")])
    assert dots == [([50.0, 0.0], [25.0, 100.0])]  # the second has no target trial
    assert found.values.rows == [["ours, c", "2/2", "0/20"], ["ours, a", "1/4", "5/10"]]  # the greatest share first


def test_a_million_scores_make_a_small_drawing() -> None:
    assert len(figures.det_curves([score_list(count=1_000_000)]).svg) < 300_000
    assert len(figures.score_histogram(score_list(count=1_000_000), (-4.0, 6.0)).svg) < 60_000


def test_training_curve_of_nothing_is_nothing() -> None:
    assert figures.training_curve({"a": [], "b": [{"step": 1, "loss": 2.0}]}, "valid_eer", "held-out EER (%)") is None


@pytest.mark.parametrize(
    "name", ["a<b", 'a"b', "a&b", "<script>alert(1)</script>", "Straße, laut", "$x$", r"$\frac$", "--"]
)
def test_any_noise_name_is_drawn_as_it_is(name) -> None:
    item = score_list(noise=name)
    drawn = figures.score_histogram(item, (-4.0, 6.0)).svg
    root = ET.fromstring(drawn)
    assert f"a, {name} 5 dB" in [text for element in root.iter() for text in [element.text]]
    assert root.attrib["aria-label"] == f"Scores of a, {name} 5 dB"
    assert "<script" not in drawn


def spots_of(figure) -> dict[str, ET.Element]:
    """Marks that tell their values, by what they tell."""
    (group,) = (element for element in ET.fromstring(figure.svg).iter() if element.get("class") == "spots")
    return {mark[0].text: mark for mark in group}


def test_points_tell_their_values_where_they_are_drawn(drawn) -> None:
    found = figures.training_curve({"a": [{"step": 1, "loss": 2.0}, {"step": 5, "loss": 0.5}]}, "loss", "<loss>")
    spots = spots_of(found)
    assert list(spots) == ["a, step 1: <loss> 2", "a, step 5: <loss> 0.5"]
    assert found.values.rows == [["a", "1", "2"], ["a", "5", "0.5"]]
    markers = [
        (float(element.get("x")), float(element.get("y")))
        for element in ET.fromstring(found.svg).iter()
        if element.tag.endswith("use") and "var(--blue)" in element.get("style")
    ]
    marks = [(float(mark.get("cx")), float(mark.get("cy"))) for mark in spots.values()]
    np.testing.assert_allclose(marks, markers, atol=0.6)


def test_a_det_curve_tells_the_misses_at_the_ticks_of_false_alarms() -> None:
    # Of ten nontargets one is above 0.5: with at most 5 % false alarms the threshold is 1, and one of two targets is missed.
    scores = np.array([2.0, 0.7, *np.linspace(-1, 0, 9), 0.9])
    item = as_list(scores, np.arange(12) < 2)
    rows = figures.det_curves([item]).values.rows
    assert rows[4] == ["5", "50.00"] and rows[5] == ["10", "0.00"]
    assert spots_of(figures.det_curves([score_list()]))


def test_strips_of_a_histogram_tell_shares_that_sum_to_all(drawn) -> None:
    found = figures.score_histogram(score_list(), (-4.0, 6.0))
    assert len(spots_of(found)) == drawing.NUM_BINS
    shares = np.array([[float(cell) for cell in row[1:]] for row in found.values.rows])
    np.testing.assert_allclose(shares.sum(axis=0), 100, atol=0.5)


def test_many_points_are_thinned_evenly_and_keep_their_ends() -> None:
    found = drawing.thinned(range(1000), 60)
    assert (found[0], found[-1], len(found)) == (0, 999, 60)
    assert {b - a for a, b in itertools.pairwise(found)} <= {16, 17}
    assert drawing.thinned([1, 2], 60) == [1, 2]


def test_texts_that_look_like_colours_stay_and_idle_ids_go() -> None:
    with drawing.new_axes(2, 2) as axis:
        axis.set(title="id: #000000; url(#x)")
        svg = drawing.to_svg(axis, "t")
    assert "id: #000000; url(#x)</text>" in svg and "var(--grid)" in svg
    assert 'id="figure_1"' not in svg
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', svg)) - {"x"}
    assert set(re.findall(r' id="([^"]*)"', svg)) == used


def test_more_conditions_than_kinds_of_line_are_drawn(drawn) -> None:
    figures.det_curves([score_list(noise=str(i)) for i in range(len(figures.LINES) + 1)])
    assert len(drawn) == len(figures.LINES) + 2  # the last is the diagonal
    assert [figures.line_of(i) for i in (0, 3, 4)] == ["solid", "dash-dotted", "solid"]


def test_colours_repeat_after_the_last() -> None:
    assert drawing.colour_of(0) == drawing.colour_of(len(drawing.SYSTEM_COLOURS))
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in drawing.SYSTEM_COLOURS)
