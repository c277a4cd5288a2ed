import numpy as np
import pytest

from sv.kaldi import Trials
from sv.scoring import cosine, mean_cos, neg_mean_l2, score_cosine

ONE = Trials(["a"], ["b"], np.array([True]))


@pytest.fixture
def segments() -> dict[str, np.ndarray]:
    """Utterances of 1 to 4 segments."""
    rng = np.random.default_rng(0)
    return {f"u{i}": rng.normal(size=(1 + i % 4, 6)).astype(np.float32) for i in range(9)}


def all_pairs(names) -> Trials:
    names = list(names)
    return Trials([a for a in names for _ in names], names * len(names), np.zeros(len(names) ** 2, dtype=bool))


def test_published_parity_values(hashed) -> None:
    segments = {"a": hashed(50, (3, 128)), "b": hashed(51, (2, 128))}
    assert neg_mean_l2(ONE, segments) == pytest.approx([-1.383880], abs=5e-7)
    assert mean_cos(ONE, segments) == pytest.approx([0.0407375], abs=5e-8)


def test_right_angles_by_hand() -> None:
    segments = {"a": np.array([[3.0, 0.0]]), "b": np.array([[0.0, 5.0], [2.0, 0.0], [-1.0, 0.0]])}
    assert neg_mean_l2(ONE, segments) == pytest.approx([-(np.sqrt(2) + 0 + 2) / 3], abs=2e-6)
    assert mean_cos(ONE, segments) == pytest.approx([0.0], abs=1e-12)


@pytest.mark.parametrize("block_values", [1, 100, 1 << 20])
def test_every_pair_of_segments_one_at_a_time(segments, monkeypatch, block_values) -> None:
    monkeypatch.setattr(cosine, "BLOCK_VALUES", block_values)
    trials = all_pairs(segments)
    units = {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in segments.items()}
    distances, cosines = [], []
    for one, other in zip(trials.enrolment, trials.test):
        pairs = [(left, right) for left in units[one] for right in units[other]]
        distances.append(-np.mean([np.linalg.norm(left - right + 1e-6) for left, right in pairs]))
        cosines.append(np.mean([left @ right for left, right in pairs]))
    assert neg_mean_l2(trials, segments) == pytest.approx(distances, abs=1e-6)
    assert mean_cos(trials, segments) == pytest.approx(cosines, abs=1e-6)


def test_single_segments_score_as_utterances_do(segments) -> None:
    single = {name: rows[:1] for name, rows in segments.items()}
    vectors = {name: rows[0] for name, rows in single.items()}
    assert mean_cos(all_pairs(single), single) == pytest.approx(score_cosine(all_pairs(single), vectors), abs=1e-12)


@pytest.mark.parametrize("score", [mean_cos, neg_mean_l2])
def test_unknown_utterances_and_zero_segments_are_refused(segments, score) -> None:
    with pytest.raises(KeyError, match=r"2 of 2 trial utterances have no segment embeddings, e.g. \['a', 'b'\]"):
        score(ONE, segments)
    with pytest.raises(ValueError, match=r"1 embeddings are zero, NaN or infinite, e.g. \['b'\]"):
        score(ONE, {"a": np.ones((2, 3)), "b": np.array([[1.0, 0, 0], [0, 0, 0]])})


def test_equal_segments_are_as_far_apart_as_the_published_distance_has_them(segments) -> None:
    trials = Trials(["u0"], ["u0"], np.array([True]))  # one segment
    assert neg_mean_l2(trials, segments) == pytest.approx([-1e-6 * np.sqrt(6)], abs=3e-8)
