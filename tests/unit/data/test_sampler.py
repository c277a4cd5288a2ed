import numpy as np
import pytest

from sv.data.sampler import PairSampler, distinct_batches

SPEAKERS = np.random.default_rng(0).integers(0, 40, 900)


def batches(sampler: PairSampler, epoch: int) -> list[np.ndarray]:
    """Pairs of each batch, (num_pairs, 2), after checking which items are disturbed and of which epoch."""
    found = []
    for batch in sampler.epoch(epoch):
        first, second = batch[: len(batch) // 2], batch[len(batch) // 2 :]
        assert all(not item.augment and item.epoch == epoch for item in first)
        assert all(item.augment and item.epoch == epoch for item in second)
        found.append(np.array([[a.utterance, b.utterance] for a, b in zip(first, second, strict=True)]))
    return found


def test_a_pair_is_two_utterances_of_one_speaker_and_a_batch_holds_no_speaker_twice():
    for pairs in batches(PairSampler(SPEAKERS, 16, seed=0), 0):
        assert pairs.shape == (16, 2)
        assert (pairs[:, 0] != pairs[:, 1]).all()
        np.testing.assert_array_equal(SPEAKERS[pairs[:, 0]], SPEAKERS[pairs[:, 1]])
        assert len(set(SPEAKERS[pairs[:, 0]])) == 16


def test_nothing_is_dropped_but_what_is_counted():
    sampler = PairSampler(SPEAKERS, 16, seed=0)
    used = np.concatenate(batches(sampler, 0)).ravel()
    counts = np.bincount(SPEAKERS)
    assert len(set(used.tolist())) == len(used)
    assert len(used) // 2 + sampler.num_left_over == (counts // 2).sum()
    # Waiting pairs go first, so that only the last batches lack speakers.
    assert sampler.num_left_over < 2 * 16


def test_the_union_of_the_ranks_is_the_batch_of_one_rank():
    whole = batches(PairSampler(SPEAKERS, 12, seed=3), 5)
    parts = [batches(PairSampler(SPEAKERS, 12, seed=3, world_size=3, rank=rank), 5) for rank in range(3)]
    assert len(whole) == len(parts[0])
    for batch, *shares in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(batch, np.concatenate(shares))


def test_an_epoch_is_a_function_of_seed_and_epoch_alone():
    sampler = PairSampler(SPEAKERS, 8, seed=1)
    later = batches(sampler, 7)
    batches(sampler, 2)
    np.testing.assert_array_equal(batches(PairSampler(SPEAKERS, 8, seed=1), 7), later)
    assert not np.array_equal(batches(sampler, 8), later)
    assert not np.array_equal(batches(PairSampler(SPEAKERS, 8, seed=2), 7), later)


def test_resuming_skips_without_changing_what_follows():
    sampler = PairSampler(SPEAKERS, 8, seed=1)
    assert list(sampler.epoch(4)[10:]) == list(sampler.epoch(4))[10:]


def test_frozen_pairs_return_in_every_epoch_under_the_epoch_of_their_crops():
    sampler = PairSampler(SPEAKERS, 8, seed=1, frozen=True)
    np.testing.assert_array_equal(batches(sampler, 0), batches(sampler, 9))


def test_all_epochs_have_the_same_number_of_batches():
    """How many batches a shuffle fills varies where speakers are few, how many steps an epoch has must not."""
    speakers = np.repeat(np.arange(42), 10)
    sampler = PairSampler(speakers, 16, seed=0)
    assert min(len(sampler._plan(epoch)) for epoch in range(20)) < sampler.steps_per_epoch
    for epoch in range(20):
        plan = batches(sampler, epoch)
        assert len(plan) == sampler.steps_per_epoch
        assert all(len(set(speakers[pairs[:, 0]])) == 16 for pairs in plan)


def test_a_speaker_gives_no_more_utterances_than_allowed():
    speakers = np.concatenate([np.repeat(np.arange(3), 100), np.repeat([3], 4)])
    used = np.concatenate(batches(PairSampler(speakers, 2, seed=0, max_utterances=11), 0)).ravel()
    assert max(np.bincount(speakers[used])) <= 10


def test_speakers_with_one_utterance_are_counted_and_left_out():
    speakers = [0, 0, 1, 2, 2, 3, 3, 4]
    sampler = PairSampler(speakers, 3, seed=0)
    assert sampler.num_single == 2
    assert sampler.steps_per_epoch == 1
    assert sampler.num_left_over == 0
    assert set(np.concatenate(batches(sampler, 0)).ravel().tolist()) == {0, 1, 3, 4, 5, 6}


def test_no_speaker_with_two_utterances():
    with pytest.raises(ValueError, match="pairs_per_batch is 1, but only 0 speakers have two utterances or more"):
        PairSampler([0, 1, 2], 1, seed=0)


def test_more_pairs_in_a_batch_than_speakers():
    with pytest.raises(ValueError, match=r"pairs_per_batch is 3, but only 2 speakers .* so make it smaller"):
        PairSampler([0, 0, 1, 1, 2], 3, seed=0)


def test_ranks_must_share_a_batch_evenly():
    with pytest.raises(ValueError, match="pairs_per_batch 8 is not a multiple of the 3 ranks"):
        PairSampler(SPEAKERS, 8, seed=0, world_size=3)


def test_a_clashing_row_waits_for_the_next_batch():
    assert distinct_batches(np.array([1, 1, 2, 3, 1, 2]), 2) == [[0, 2], [1, 3], [4, 5]]
    assert distinct_batches(np.array([1, 1, 1, 2]), 2) == [[0, 3]]
