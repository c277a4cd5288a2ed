import numpy as np
import pytest

from sv.kaldi import Trials
from sv.scoring import cosine, score_cosine


def some_trials(names: list[str], count: int, seed: int = 0) -> Trials:
    rng = np.random.default_rng(seed)
    left, right = ([names[i] for i in rng.integers(len(names), size=count)] for _ in range(2))
    return Trials(left, right, np.zeros(count, dtype=bool))


def by_hand(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / np.sqrt((left @ left) * (right @ right)))


@pytest.fixture
def embeddings() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {f"spk{i}-{i:03d}": 10.0**i * rng.normal(size=8) for i in range(5)}


@pytest.mark.parametrize("block_values", [1, 24, 1 << 18])
@pytest.mark.parametrize("products_per_trial", [0, 32])
def test_each_trial_by_hand_in_trial_order_either_way(embeddings, monkeypatch, block_values, products_per_trial):
    monkeypatch.setattr(cosine, "BLOCK_VALUES", block_values)
    monkeypatch.setattr(cosine, "PRODUCTS_PER_TRIAL", products_per_trial)
    trials = some_trials(list(embeddings), 50)
    expected = [by_hand(embeddings[a], embeddings[b]) for a, b in zip(trials.enrolment, trials.test)]
    assert score_cosine(trials, embeddings) == pytest.approx(expected, abs=1e-12)


def test_sides_may_have_embeddings_of_their_own(embeddings) -> None:
    models = {f"model{i}": vector for i, vector in enumerate(embeddings.values())}
    trials = Trials(["model0", "model3"], ["spk1-001", "spk3-003"], np.array([False, True]))
    expected = [by_hand(models["model0"], embeddings["spk1-001"]), 1.0]
    assert score_cosine(trials, models, embeddings) == pytest.approx(expected, abs=1e-12)


def test_unknown_utterances_are_counted_and_three_are_named(embeddings) -> None:
    trials = Trials(["d", "b", "spk1-001", "a"], ["spk0-000", "c", "a", "d"], np.zeros(4, dtype=bool))
    with pytest.raises(KeyError, match=r"4 of 6 trial utterances have no embedding, e.g. \['a', 'b', 'c'\]"):
        score_cosine(trials, embeddings)


def test_unknown_utterances_are_named_with_their_side(embeddings) -> None:
    trials = Trials(["spk0-000"], ["x"], np.array([True]))
    with pytest.raises(KeyError, match=r"1 of 1 trial utterances have no test embedding, e.g. \['x'\]"):
        score_cosine(trials, embeddings, embeddings)
    with pytest.raises(KeyError, match="1 of 1 trial utterances have no enrolment embedding"):
        score_cosine(trials, {}, embeddings)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_embedding_without_direction_is_refused(embeddings, value) -> None:
    embeddings["spk2-002"] = np.full(8, value)
    trials = Trials(["spk0-000"], ["spk2-002"], np.array([True]))
    with pytest.raises(ValueError, match=r"1 embeddings are zero, NaN or infinite, e.g. \['spk2-002'\]"):
        score_cosine(trials, embeddings)
