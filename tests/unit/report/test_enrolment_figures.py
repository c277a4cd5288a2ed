import re

import numpy as np
import pytest

from sv.report.enrolment_figures import error_rates, nearest_point, similarity_matrix, speaker_matrix


def test_the_matrix_holds_means_over_trials_and_gaps():
    scores = np.array([1.0, 3.0, 5.0, -1.0])
    means, speakers = speaker_matrix(scores, ["b", "b", "a", "b"], ["a", "a", "a", "c"])
    assert speakers == ["a", "b", "c"]
    np.testing.assert_array_equal(means, [[5, 2, np.nan], [np.nan] * 3, [np.nan, -1, np.nan]])


def test_cells_of_a_small_matrix_tell_their_values_and_speakers_named():
    found = similarity_matrix(np.array([[0.91, -0.25], [np.nan, 0.5]]), ["p225", "p226"], "digits")
    svg = found.svg
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert {"p225", "p226", "enrolled", "tested", "digits"} <= set(texts)
    told = re.findall(r"<title>([^<]+)</title>", svg)
    assert told == [
        "p225 tested, p225 enrolled: 0.91", "p225 tested, p226 enrolled: -0.25", "p226 tested, p226 enrolled: 0.50"
    ]  # fmt: skip
    assert found.values.rows == [["p225", "0.91", "-0.25", "p226"], ["p226", "0.50", "-", "-"]]
    assert "nan" not in svg.lower()
    many = similarity_matrix(np.eye(41), [f"p{i}" for i in range(41)], "many")
    assert "<title>" not in many.svg and len(many.values.rows) == 41
    assert sum(text.startswith("p") for text in re.findall(r">([^<>]+)</text>", many.svg)) <= 24


def test_the_nearest_point_is_where_far_and_frr_meet():
    scores, is_target = np.array([0.9, 0.8, 0.3, 0.7, 0.2, 0.1]), np.array([1, 1, 1, 0, 0, 0], dtype=bool)
    threshold, p_fa, p_miss = nearest_point(scores, is_target)
    assert (p_fa, p_miss) == pytest.approx((1 / 3, 1 / 3))
    assert threshold == pytest.approx(0.7)  # accepted: 0.9, 0.8 and 0.7


def test_the_curves_of_error_rates_are_drawn_with_the_chosen_threshold():
    svg = error_rates(np.array([0.9, 0.8, 0.3, 0.7, 0.2, 0.1]), np.array([1, 1, 1, 0, 0, 0], dtype=bool), "ge2e").svg
    texts = set(re.findall(r">([^<>]+)</text>", svg))
    assert {"false alarms (FAR)", "misses (FRR)", "threshold", "ge2e"} <= texts
    assert svg.startswith("<svg") and 'aria-label="Error rates over the threshold, ge2e"' in svg
