import numpy as np
import pytest

from sv.kaldi import read_matrix_file, read_vector_file
from sv.scoring import train_lda
from sv.scoring.lda import principal_axes


def test_the_transform_is_kaldis_up_to_signs(golden_vectors, golden_dir) -> None:
    train = golden_vectors("train")
    vectors = np.stack(list(train.values())) - read_vector_file(golden_dir / "A.mean.txt")
    found, expected = train_lda(vectors, [utt[:5] for utt in train], 24), read_matrix_file(golden_dir / "A.lda.bin")
    signs = np.sign((found * expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found * signs, expected, rtol=0, atol=2e-6)


def two_classes() -> tuple[np.ndarray, list[str]]:
    """Classes at -1 and 1 on the first axis; within them, variance 4 on the first axis and 1 on the second."""
    corners = np.array([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])
    offset = np.array([1.0, 0.0])
    return np.concatenate([corners - offset, corners + offset]) + 7 * offset, list("aaaabbbb")


def test_two_classes_by_hand() -> None:
    vectors, speakers = two_classes()
    transform = train_lda(vectors, speakers, 1)
    sign = np.sign(transform[0, 0])
    np.testing.assert_allclose(sign * transform, [[0.5, 0, -3.5]], atol=1e-12)  # 1 / sqrt(4), and the mean is 7
    total = train_lda(vectors, speakers, 1, total_covariance_factor=1.0)
    np.testing.assert_allclose(np.abs(total[0, 0]), 1 / np.sqrt(5))


def test_a_direction_without_variance_within_is_floored() -> None:
    vectors, speakers = two_classes()
    vectors[:, 1] = np.repeat([0.0, 1e-4], 4)
    transform = train_lda(vectors, speakers, 2, covariance_floor=1e-2)
    white = np.abs(transform[:, :2]) @ np.array([[0.0], [1.0]])
    assert white.max() <= 1 / np.sqrt(1e-2 * 4) * (1 + 1e-9)


def test_what_cannot_be_estimated_is_refused() -> None:
    vectors, speakers = two_classes()
    for dim in (0, 3):
        with pytest.raises(ValueError, match=f"LDA can keep 1 to 2 of 2 dimensions, not {dim}"):
            train_lda(vectors, speakers, dim)
    with pytest.raises(
        ValueError, match="LDA of 9-dimensional embeddings needs at least 9 utterances, got 8; train on"
    ):
        train_lda(np.ones((8, 9)), speakers, 1)
    with pytest.raises(ValueError, match="no speaker has two utterances"):
        train_lda(vectors, range(8), 1)
    with pytest.raises(ValueError, match="of each speaker are all the same, so LDA is undefined"):
        train_lda(np.repeat([[0.0, 0], [1, 1]], 4, axis=0), speakers, 1)


def test_principal_axes_are_those_of_the_largest_variance() -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    points = np.concatenate([np.diag([5.0, 3, 2, 1]), -np.diag([5.0, 3, 2, 1])]) @ basis.T + 10
    found = principal_axes(points, 2)
    np.testing.assert_allclose(np.abs(found @ basis), np.eye(4)[:2], atol=1e-12)
