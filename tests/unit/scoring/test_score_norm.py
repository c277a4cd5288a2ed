import numpy as np
import pytest

from sv.scoring import as_norm, cohort_id, cohort_statistics, s_norm, score_norm, t_norm, z_norm
from sv.scoring.score_norm import LEAST_SPREAD, distinct_cohort, own_in_cohort, product_statistics


def test_statistics_by_hand() -> None:
    found = cohort_statistics(np.array([[1.0, 9, 2, 3], [4, 4, 8, 0]]), top_n=2)
    np.testing.assert_allclose(found.mean, [6, 6])
    np.testing.assert_allclose(found.std, [3, 2])
    found = cohort_statistics(np.array([[1.0, 9, 2, 4]]))
    np.testing.assert_allclose([found.mean[0], found.std[0]], [4, np.sqrt((9 + 25 + 4 + 0) / 4)])


def test_z_t_and_s_norm_by_hand() -> None:
    enrolment, test = cohort_statistics(np.array([[0.0, 2]])), cohort_statistics(np.array([[1.0, 5], [4, 4.5]]))
    scores = np.array([5.0, 8.0])
    sides = enrolment[np.array([0, 0])], test[np.array([1, 0])]
    np.testing.assert_allclose(z_norm(scores, sides[0]), [4, 7])
    np.testing.assert_allclose(t_norm(scores, sides[1]), [3, 2.5])
    np.testing.assert_allclose(s_norm(scores, *sides), [3.5, 4.75])


def golden_case(golden_scores) -> tuple:
    """Scores of chain A, rows of their sides, and scores with the cohort, (num_utts, 60)."""
    trials, scores = golden_scores("A.scores")
    pairs, cohort_scores = golden_scores("A.cohort.scores")
    row = {utt: i for i, utt in enumerate(dict.fromkeys(pairs.enrolment))}
    rows = tuple(np.array([row[utt] for utt in side]) for side in (trials.enrolment, trials.test))
    return scores, rows, cohort_scores.reshape(len(row), 60)


def test_as_norm_of_kaldis_scores(golden_scores) -> None:
    scores, rows, cohort_scores = golden_case(golden_scores)
    _, expected = golden_scores("A.asnorm_top20.numpy.scores")
    np.testing.assert_allclose(as_norm(scores, rows, cohort_scores, cohort_scores, 20), expected, rtol=0, atol=2e-6)


def test_s_norm_of_kaldis_scores(golden_scores) -> None:
    scores, rows, cohort_scores = golden_case(golden_scores)
    found = as_norm(scores, rows, cohort_scores, cohort_scores, 60)[:5]
    np.testing.assert_allclose(found, [1.957061, 2.382760, 2.296071, 2.085035, 1.955507], rtol=0, atol=2e-6)


@pytest.mark.parametrize("block_values", [1, 25, 1 << 23])
def test_blocks_do_not_change_statistics(monkeypatch, block_values) -> None:
    monkeypatch.setattr(score_norm, "BLOCK_VALUES", block_values)
    rng = np.random.default_rng(0)
    left, cohort = rng.normal(size=(7, 4)), rng.normal(size=(12, 4))
    found, expected = product_statistics(left, cohort, 5), cohort_statistics(left @ cohort.T, 5)
    np.testing.assert_allclose(found.mean, expected.mean)
    np.testing.assert_allclose(found.std, expected.std)


@pytest.mark.parametrize("top_n", [0, 1, 6])
def test_a_cohort_that_is_too_small_is_refused(top_n) -> None:
    with pytest.raises(ValueError, match=rf"top-n must be in 2\.\.5, the size of the cohort, got {top_n}"):
        cohort_statistics(np.ones((2, 5)), top_n)


def test_a_cohort_of_equal_scores_is_refused() -> None:
    scores = np.array([[1.0, 2, 3], [0.1, 0.1, 0.1], [3, 3, 1]])
    with pytest.raises(ValueError, match="1 of 3 utterances have the same score with the 3 closest of the cohort"):
        cohort_statistics(scores)
    with pytest.raises(ValueError, match="2 of 3 utterances have the same score with the 2 closest"):
        cohort_statistics(scores, 2)


def test_a_cohorts_id_is_that_of_its_names_and_vectors() -> None:
    cohort = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    same = {"b": np.array([3.0, 4.0], dtype=np.float32), "a": np.array([1.0, 2.0])}
    assert cohort_id(cohort) == cohort_id(same)
    assert len(cohort_id(cohort)) == 64
    others = ({"a": cohort["b"], "b": cohort["a"]}, {"a": cohort["a"]}, {"a": cohort["a"], "c": cohort["b"]})
    assert len({cohort_id(cohort), *map(cohort_id, others)}) == 4


def test_copies_in_a_cohort_are_left_out_and_named(capsys) -> None:
    vectors = {"r": [1, 0], "s": [0.6, 0.8], "r-again": [1, -0.0], "t": [0, 1], "r-once-more": [1, 0]}
    cohort = {name: np.array(vector, dtype=np.float32) for name, vector in vectors.items()}
    assert list(distinct_cohort(cohort)) == ["r", "s", "t"]
    assert "2 of the cohort's 5 vectors are copies, e.g. r-again of r, r-once-more of r; they are left out" in (
        capsys.readouterr().err
    )
    assert list(distinct_cohort({name: cohort[name] for name in "rst"})) == ["r", "s", "t"]
    assert capsys.readouterr().err == ""


def test_rows_are_not_compared_with_themselves_by_hand(capsys) -> None:
    cohort = {name: np.array(vector) for name, vector in {"r": [1.0, 0], "s": [0.6, 0.8], "t": [0.0, 1]}.items()}
    left = np.array([[0.6, 0.8], [0.8, 0.6]])  # the first is s; the scores are 0.6 1 0.8 and 0.8 0.96 0.6
    own = own_in_cohort(["a", "b"], left, cohort)
    assert own == {0: [1]}
    assert "1 of 2 vectors of the trials are in the cohort themselves, e.g. a; none is compared with itself" in (
        capsys.readouterr().err
    )
    assert own_in_cohort(["t", "b"], left, cohort) == {0: [1, 2]}  # by its name, too
    assert own_in_cohort(["b"], left[1:], cohort) == {}
    rows = np.stack(list(cohort.values()))
    found = product_statistics(left, rows, 2, own)
    np.testing.assert_allclose(found.mean, [0.7, 0.88])
    np.testing.assert_allclose(found.std, [0.1, 0.08])
    found = product_statistics(left, rows, None, own)  # all there are: two for the first, three for the other
    np.testing.assert_allclose(found.mean, [0.7, 2.36 / 3])
    with pytest.raises(ValueError, match=r"top-n must be in 2\.\.1"):
        product_statistics(left, rows, 2, {0: [1, 2]})


@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-8])
def test_a_spread_of_rounding_errors_is_refused(noise) -> None:
    scores = 0.9 + noise * np.array([[0.0, 1, 2]])
    with pytest.raises(ValueError, match="1 of 1 utterances have the same score with the 3 closest"):
        cohort_statistics(scores)
    assert cohort_statistics(scores + 4 * LEAST_SPREAD * np.array([[0.0, 1, 2]])).std > 0
