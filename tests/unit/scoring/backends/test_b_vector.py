import numpy as np
import pytest

from sv.kaldi import Trials
from sv.scoring.backends import BVectorBackEnd, Training


@pytest.fixture
def network() -> BVectorBackEnd:
    rng = np.random.default_rng(0)
    shapes = [(6, 12), (5, 6), (2, 5)]
    return BVectorBackEnd(
        mean=rng.normal(size=4),
        std=rng.uniform(0.5, 2, size=4),
        weights=tuple(rng.normal(size=shape) for shape in shapes),
        biases=tuple(rng.normal(size=shape[0]) for shape in shapes),
    )


def probability(network: BVectorBackEnd, left: np.ndarray, right: np.ndarray) -> float:
    """P(target) of one pair, as published."""
    left, right = (left - network.mean) / network.std, (right - network.mean) / network.std
    hidden = np.array([*(left + right), *(left - right), *(left * right)])
    for weight, bias in list(zip(network.weights, network.biases))[:-1]:
        hidden = weight @ hidden + bias
        hidden[hidden < 0] *= 0.3
    logits = network.weights[-1] @ hidden + network.biases[-1]
    return np.exp(logits[1]) / np.exp(logits).sum()


def test_log_odds_of_the_published_probability(network) -> None:
    rng = np.random.default_rng(1)
    embeddings = {f"utt{i}": rng.normal(size=4) for i in range(5)}
    enrolment, test = ["utt0", "utt3", "utt1", "utt0"], ["utt4", "utt3", "utt0", "utt1"]
    trials = Trials(enrolment=enrolment, test=test, is_target=np.array([True, True, False, False]))
    scores = network.score(trials, embeddings)
    expected = [probability(network, embeddings[a], embeddings[b]) for a, b in zip(enrolment, test)]
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), expected, rtol=1e-9)
    other = network.score(trials, embeddings, {utt: 2 * vector for utt, vector in embeddings.items()})
    assert other[0] != scores[0]


def test_a_missing_embedding_is_named(network) -> None:
    trials = Trials(enrolment=["a"], test=["b"], is_target=np.array([True]))
    with pytest.raises(KeyError, match=r"1 of 1 trial utterances have no test embedding, e.g. \['b'\]"):
        network.score(trials, {"a": np.zeros(4)})


def test_written_networks_read_back(network, tmp_path) -> None:
    network.save(tmp_path)
    back = BVectorBackEnd.load(tmp_path)
    for ours, theirs in zip((*network.weights, *network.biases), (*back.weights, *back.biases), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(back.mean, network.mean)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_other_files_are_refused_by_name(content, tmp_path) -> None:
    path = tmp_path / "network.npz"
    if content is None:
        np.savez(path, mean=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"network\.npz: not a b-vector network"):
        BVectorBackEnd.read(path)


def test_a_network_of_arrays_needs_them_all() -> None:
    with pytest.raises(KeyError, match="b0"):
        BVectorBackEnd.from_arrays({"mean": np.zeros(1), "std": np.ones(1), "w0": np.zeros((2, 3))})


def test_training_needs_held_out_trials() -> None:
    training = Training(vectors=np.ones((2, 3), dtype=np.float32), names=["a", "b"], speakers=["s", "t"])
    with pytest.raises(
        ValueError, match="keeps the best epoch on held-out trials; give --valid-trials and --valid-scp"
    ):
        BVectorBackEnd.fit(training, BVectorBackEnd.Config())


@pytest.mark.parametrize("option", ["hidden_dim", "num_layers", "pairs_per_batch", "steps_per_epoch", "num_epochs"])
def test_sizes_must_be_positive(option) -> None:
    with pytest.raises(ValueError, match=f"{option} must be positive, got 0"):
        BVectorBackEnd.Config(**{option: 0})
