import re

import numpy as np
import pytest

from sv.report.enrolment_figures import error_rates, nearest_point, similarity_matrix, speaker_matrix


def test_the_matrix_holds_means_over_trials_and_gaps():
    scores = np.array([1.0, 3.0, 5.0, -1.0])
    means, speakers = speaker_matrix(scores, ["b", "b", "a", "b"], ["a", "a", "a", "c"])
    assert speakers == ["a", "b", "c"]
    np.testing.assert_array_equal(means, [[5, 2, np.nan], [np.nan] * 3, [np.nan, -1, np.nan]])


def test_cells_of_a_small_matrix_are_labelled_and_speakers_named():
    svg = similarity_matrix(np.array([[0.91, -0.25], [np.nan, 0.5]]), ["p225", "p226"], "digits")
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert {"0.91", "0.50", "p225", "p226", "enrolled", "tested", "digits"} <= set(texts)
    assert "-0.25" in texts or "\N{MINUS SIGN}0.25" in texts
    assert "nan" not in svg.lower()
    many = similarity_matrix(np.eye(40), [f"p{i}" for i in range(40)], "many")
    assert "1.00" not in re.findall(r">([^<>]+)</text>", many)[:-10]


def test_the_nearest_point_is_where_far_and_frr_meet():
    scores, is_target = np.array([0.9, 0.8, 0.3, 0.7, 0.2, 0.1]), np.array([1, 1, 1, 0, 0, 0], dtype=bool)
    threshold, p_fa, p_miss = nearest_point(scores, is_target)
    assert (p_fa, p_miss) == pytest.approx((1 / 3, 1 / 3))
    assert threshold == pytest.approx(0.7)  # accepted: 0.9, 0.8 and 0.7


def test_the_curves_of_error_rates_are_drawn_with_the_chosen_threshold():
    svg = error_rates(np.array([0.9, 0.8, 0.3, 0.7, 0.2, 0.1]), np.array([1, 1, 1, 0, 0, 0], dtype=bool), "ge2e")
    texts = set(re.findall(r">([^<>]+)</text>", svg))
    assert {"false alarms (FAR)", "misses (FRR)", "threshold", "ge2e"} <= texts
    assert svg.startswith("<svg") and 'aria-label="Error rates over the threshold, ge2e"' in svg
