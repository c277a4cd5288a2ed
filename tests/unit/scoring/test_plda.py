"""PLDA against Kaldi's golden files and against closed forms."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from sv.kaldi import read_plda
from sv.scoring import Plda, adapt_plda, smooth_plda, train_plda
from sv.scoring.plda import diagonalise, llr_sides, project


def assert_same_model(found: Plda, expected: tuple[np.ndarray, np.ndarray, np.ndarray], rtol: float) -> None:
    """Equal up to the signs of the transform's rows."""
    mean, transform, psi = expected
    scale = np.abs(transform).max()
    np.testing.assert_allclose(found.mean, mean, rtol=0, atol=rtol * np.abs(mean).max())
    np.testing.assert_allclose(found.psi, psi, rtol=rtol)
    signs = np.sign((found.transform * transform).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.transform * signs, transform, rtol=0, atol=rtol * scale)


@pytest.fixture(scope="module")
def unbalanced(golden_vectors, golden_lists) -> tuple[np.ndarray, list[str]]:
    """The vectors that chain B was trained on, and their speakers."""
    vectors, spk2utt = golden_vectors("train"), golden_lists("train_unbal.spk2utt")
    utts = [(utt, speaker) for speaker, utts in spk2utt.items() for utt in utts]
    return np.stack([vectors[utt] for utt, _ in utts]), [speaker for _, speaker in utts]


def test_unequal_numbers_of_utterances_give_kaldis_model(unbalanced, golden_dir) -> None:
    assert_same_model(train_plda(*unbalanced), read_plda(golden_dir / "B.plda.bin"), rtol=1e-10)


def test_the_order_of_the_utterances_does_not_matter(unbalanced) -> None:
    vectors, speakers = unbalanced
    order = np.random.default_rng(0).permutation(len(vectors))
    shuffled = train_plda(vectors[order], [speakers[i] for i in order])
    plda = train_plda(vectors, speakers)
    assert_same_model(shuffled, (plda.mean, plda.transform, plda.psi), rtol=1e-9)


def log_likelihood(plda: Plda, vectors: np.ndarray, speakers: list[str]) -> float:
    """Of all utterances, by the joint Gaussian of each speaker's."""
    inverse = np.linalg.inv(plda.transform)
    within, between = inverse @ inverse.T, inverse * plda.psi @ inverse.T
    total = 0.0
    for speaker in set(speakers):
        own = vectors[[other == speaker for other in speakers]]
        covariance = np.kron(np.eye(len(own)), within) + np.kron(np.ones((len(own), len(own))), between)
        total += multivariate_normal.logpdf(own.ravel(), np.tile(plda.mean, len(own)), covariance)
    return total


def test_every_iteration_raises_the_likelihood_of_balanced_data() -> None:
    rng = np.random.default_rng(0)
    speakers = np.repeat([f"s{i:02d}" for i in range(20)], 4).tolist()
    vectors = np.repeat(rng.normal(size=(20, 3)) * [3, 1, 0.3], 4, axis=0) + rng.normal(size=(80, 3))
    found = [log_likelihood(train_plda(vectors, speakers, num_iters=n), vectors, speakers) for n in range(12)]
    assert (np.diff(found) > 0).all()
    assert found[-1] > log_likelihood(Plda(vectors.mean(0), np.eye(3), np.array([9, 1, 0.09])), vectors, speakers)


def test_covariances_that_made_the_data_are_found_again() -> None:
    rng = np.random.default_rng(1)
    psi, within = np.array([8.0, 2.0, 0.5]), np.array([[2.0, 0.6, 0.0], [0.6, 1.0, 0.2], [0.0, 0.2, 0.5]])
    factor = np.linalg.cholesky(within)
    speakers = np.repeat(np.arange(3000), 8)
    own = rng.normal(size=(3000, 3)) * np.sqrt(psi)
    vectors = (own[speakers] + rng.normal(size=(24_000, 3))) @ factor.T + 5.0
    plda = train_plda(vectors, speakers, num_iters=30)
    inverse = np.linalg.inv(plda.transform)
    np.testing.assert_allclose(plda.psi, psi, rtol=0.1)
    np.testing.assert_allclose(inverse @ inverse.T, within, atol=0.06)
    np.testing.assert_allclose(plda.mean, 5.0, atol=0.2)


def llrs(plda: Plda, enrolment: np.ndarray, num_utts: np.ndarray, test: np.ndarray) -> np.ndarray:
    """All pairs' ratios of vectors that are not length-normalised."""
    left, right = llr_sides(plda, project(plda, enrolment, num_utts, "none"), num_utts, project(plda, test, 1, "none"))
    return left @ right.T


@pytest.mark.parametrize("num_utts", [[1, 1, 1], [4, 4, 4], [1, 3, 8]])
def test_llr_is_that_of_the_joint_gaussian(num_utts) -> None:
    rng = np.random.default_rng(2)
    within, between = (a @ a.T + 0.1 * np.eye(4) for a in rng.normal(size=(2, 4, 4)))
    mean, enrolment, test = rng.normal(size=4), 2 * rng.normal(size=(3, 4)), 2 * rng.normal(size=(5, 4))
    plda = Plda(mean, *diagonalise(within, between))
    expected = np.empty((3, 5))
    for i, (e, n) in enumerate(zip(enrolment, num_utts)):
        own, new = between + within / n, between + within
        for j, t in enumerate(test):
            together = multivariate_normal.logpdf(
                np.concatenate([e, t]), np.tile(mean, 2), np.block([[own, between], [between, new]])
            )
            apart = multivariate_normal.logpdf(e, mean, own) + multivariate_normal.logpdf(t, mean, new)
            expected[i, j] = together - apart
    np.testing.assert_allclose(llrs(plda, enrolment, np.array(num_utts), test), expected, atol=1e-9)


def test_one_enrolment_utterance_makes_a_symmetric_score(unbalanced) -> None:
    plda, vectors = train_plda(*unbalanced), unbalanced[0][:30]
    scores = llrs(plda, vectors, np.ones(30, dtype=int), vectors)
    np.testing.assert_allclose(scores, scores.T, atol=1e-9)


@pytest.mark.parametrize("num_utts", [1, np.arange(1, 6)])
def test_length_is_normalised_to_what_is_expected(unbalanced, num_utts) -> None:
    plda, vectors = train_plda(*unbalanced), unbalanced[0][:5]
    dim, n = vectors.shape[1], np.reshape(num_utts, (-1, 1))
    squares = project(plda, vectors, num_utts) ** 2
    np.testing.assert_allclose((squares / (plda.psi + 1 / n)).sum(axis=1), dim)
    np.testing.assert_allclose((project(plda, vectors, num_utts, "simple") ** 2).sum(axis=1), dim)
    plain = project(plda, vectors, num_utts, "none")
    np.testing.assert_allclose(plain, (vectors - plda.mean) @ plda.transform.T)
    np.testing.assert_array_equal(project(plda, plda.mean[None]), 0)  # no direction to scale


def covariances(plda: Plda) -> tuple[np.ndarray, np.ndarray]:
    inverse = np.linalg.inv(plda.transform)
    return inverse @ inverse.T, inverse * plda.psi @ inverse.T


def test_smoothing_adds_to_the_covariance_within(unbalanced) -> None:
    plda = train_plda(*unbalanced)
    within, between = covariances(plda)
    smoothed = covariances(smooth_plda(plda, 0.25))
    np.testing.assert_allclose(smoothed[0], within + 0.25 * between, atol=1e-9)
    np.testing.assert_allclose(smoothed[1], between, atol=1e-9)
    np.testing.assert_array_equal(smooth_plda(plda, 0.0).transform, plda.transform)


def test_adaptation_adds_what_the_new_domain_varies_more(unbalanced) -> None:
    """In the space where the total covariance is one, a domain twice as wide in one direction and narrower in the rest."""
    plda = Plda(np.zeros(3), np.eye(3), np.array([3.0, 1.0, 0.25]))
    points = np.concatenate([np.diag(v) for v in ([1, 1, 1], [-1, -1, -1])]) * np.sqrt(3)  # covariance I
    vectors = points * np.sqrt(np.array([2.0, 0.5, 0.9]) * (1 + plda.psi))
    within, between = covariances(adapt_plda(plda, vectors, within_scale=0.3, between_scale=0.7))
    np.testing.assert_allclose(within, np.diag([1 + 0.3 * 4, 1, 1]), atol=1e-12)
    np.testing.assert_allclose(between, np.diag([3 + 0.7 * 4, 1, 0.25]), atol=1e-12)


def test_a_shift_of_the_mean_counts_as_variance_by_its_scale() -> None:
    plda = Plda(np.zeros(1), np.eye(1), np.array([1.0]))
    vectors = np.array([[3 - np.sqrt(2)], [3 + np.sqrt(2)]])  # mean 3, variance 2, as the model expects
    for scale, excess in ((0.0, 0.0), (1.0, 9.0), (0.5, 4.5)):
        adapted = adapt_plda(plda, vectors, mean_diff_scale=scale)
        within, between = covariances(adapted)
        np.testing.assert_allclose(adapted.mean, [3.0])
        np.testing.assert_allclose([within[0, 0], between[0, 0]], [1 + 0.3 * excess, 1 + 0.7 * excess])


def test_too_few_utterances_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="PLDA of 4 dimensions needs more than 4 utterances, got 4; keep fewer"):
        train_plda(np.eye(4), list("aabb"))


def test_speakers_of_one_utterance_each_are_refused() -> None:
    with pytest.raises(ValueError, match="no speaker has two utterances"):
        train_plda(np.ones((3, 2)), list("abc"))


def test_labels_must_be_as_many_as_vectors() -> None:
    with pytest.raises(ValueError, match="there are 5 embeddings but 3 speaker labels"):
        train_plda(np.ones((5, 2)), list("abc"))


def test_adapting_to_vectors_of_another_space_is_refused() -> None:
    plda = Plda(np.zeros(3), np.eye(3), np.ones(3))
    for shape in ((0, 3), (4, 2)):
        with pytest.raises(ValueError, match="PLDA of 3 dimensions cannot be adapted by vectors of shape"):
            adapt_plda(plda, np.ones(shape))


def test_a_model_that_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"do not fit together: \(3,\), \(3, 3\) and \(2,\)"):
        Plda(np.zeros(3), np.eye(3), np.ones(2))
    with pytest.raises(ValueError, match="psi are variances, got -1"):
        Plda(np.zeros(2), np.eye(2), np.array([1.0, -1.0]))
