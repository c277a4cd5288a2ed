import numpy as np
import pytest
import torch

from sv.kaldi import Trials
from sv.scoring import compute_eer, score_cosine
from sv.scoring.backends import BVectorBackEnd
from sv.train.b_vector import BVectorNetwork, PairDraws, train_b_vector
from sv.train.b_vector_config import BVectorConfig

SMALL = BVectorConfig(hidden_dim=32, num_layers=2, pairs_per_batch=40, steps_per_epoch=60, num_epochs=3, dropout=0.2)


def test_published_size() -> None:
    assert sum(parameter.numel() for parameter in BVectorNetwork(128, BVectorConfig()).parameters()) == 3_545_090


def test_scoring_is_the_network_in_evaluation() -> None:
    torch.manual_seed(0)
    network = BVectorNetwork(4, SMALL).eval()
    arrays = {"mean": np.zeros(4), "std": np.ones(4)}
    for number, layer in enumerate(network.layers):
        torch.nn.init.normal_(layer.bias)
        arrays |= {f"w{number}": layer.weight.detach().numpy(), f"b{number}": layer.bias.detach().numpy()}
    left, right = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32)
    with torch.no_grad():
        logits = network(torch.from_numpy(left), torch.from_numpy(right)).numpy()
    np.testing.assert_allclose(
        BVectorBackEnd.from_arrays(arrays).log_odds(left, right), logits[:, 1] - logits[:, 0], atol=1e-5
    )


def test_half_the_pairs_are_of_one_speaker_each_another_and_draws_are_keyed() -> None:
    speaker_ids = np.repeat(np.arange(12), [1, 5, 4, 3, 6, 2, 2, 7, 3, 3, 2, 4])
    draws = PairDraws(speaker_ids, 16, seed=0)
    for step in range(20):
        pairs, is_target = draws(step)
        speakers = speaker_ids[pairs]
        assert is_target.tolist() == [1] * 8 + [0] * 8
        np.testing.assert_array_equal(speakers[:, 0] == speakers[:, 1], is_target == 1)
        assert (pairs[:, 0] != pairs[:, 1]).all()
        assert len(set(speakers[:8, 0])) == 8
        assert 0 not in speakers  # who has one utterance
    np.testing.assert_array_equal(draws(5)[0], PairDraws(speaker_ids, 16, seed=0)(5)[0])


def test_pairs_need_two_speakers() -> None:
    with pytest.raises(ValueError, match="pairs need two speakers with two utterances each, there are 1"):
        PairDraws(np.array([0, 0, 1]), 10, seed=0)


def embeddings_of(num_speakers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten embeddings a speaker in which three directions of large variance say nothing about who speaks."""
    rng = np.random.default_rng(seed)
    speakers = np.repeat(rng.normal(size=(num_speakers, 8)), 10, axis=0)
    nuisance = np.concatenate([np.zeros((10 * num_speakers, 5)), 8 * rng.normal(size=(10 * num_speakers, 3))], axis=1)
    return speakers + nuisance + 0.2 * rng.normal(size=speakers.shape), np.repeat(np.arange(num_speakers), 10)


def test_it_learns_what_the_cosine_does_not_know() -> None:
    rows, ids = embeddings_of(20, seed=1)
    held_out = {f"utt{i:03d}": row for i, row in enumerate(rows)}
    rng = np.random.default_rng(2)
    pairs = rng.integers(len(rows), size=(2000, 2))
    pairs = np.concatenate([pairs, np.arange(0, 200, 2)[:, None] + [0, 1]])
    trials = Trials(
        enrolment=[f"utt{i:03d}" for i in pairs[:, 0]],
        test=[f"utt{i:03d}" for i in pairs[:, 1]],
        is_target=ids[pairs[:, 0]] == ids[pairs[:, 1]],
    )

    def evaluate(arrays) -> float:
        return compute_eer(BVectorBackEnd.from_arrays(arrays).score(trials, held_out), trials.is_target)

    train_rows, train_ids = embeddings_of(150, seed=3)
    best = train_b_vector(train_rows, train_ids, SMALL, 0, evaluate)
    cosine = compute_eer(score_cosine(trials, held_out), trials.is_target)
    assert evaluate(best) < 0.6 * cosine
    again = train_b_vector(train_rows, train_ids, SMALL, 0, evaluate)
    for name, array in best.items():
        np.testing.assert_array_equal(array, again[name])
