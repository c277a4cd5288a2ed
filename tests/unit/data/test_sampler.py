import numpy as np
import pytest

from sv.data.sampler import (
    PairSampler,
    PairsConfig,
    ShuffledConfig,
    ShuffledSampler,
    SpeakerSampler,
    SpeakersConfig,
    distinct_batches,
)

SPEAKERS = np.random.default_rng(0).integers(0, 40, 900)


def pairs(speakers, pairs_per_batch: int, seed: int, world_size: int = 1, rank: int = 0, **options) -> PairSampler:
    return PairSampler(speakers, PairsConfig(pairs_per_batch=pairs_per_batch, **options), seed, world_size, rank)


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
    for batch in batches(pairs(SPEAKERS, 16, seed=0), 0):
        assert batch.shape == (16, 2)
        assert (batch[:, 0] != batch[:, 1]).all()
        np.testing.assert_array_equal(SPEAKERS[batch[:, 0]], SPEAKERS[batch[:, 1]])
        assert len(set(SPEAKERS[batch[:, 0]])) == 16


def test_nothing_is_dropped_but_what_is_counted():
    sampler = pairs(SPEAKERS, 16, seed=0)
    used = np.concatenate(batches(sampler, 0)).ravel()
    counts = np.bincount(SPEAKERS)
    assert len(set(used.tolist())) == len(used)
    assert len(used) // 2 + sampler.num_left_over == (counts // 2).sum()
    # Waiting pairs go first, so that only the last batches lack speakers.
    assert sampler.num_left_over < 2 * 16


def test_the_union_of_the_ranks_is_the_batch_of_one_rank():
    whole = batches(pairs(SPEAKERS, 12, seed=3), 5)
    parts = [batches(pairs(SPEAKERS, 12, seed=3, world_size=3, rank=rank), 5) for rank in range(3)]
    assert len(whole) == len(parts[0])
    for batch, *shares in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(batch, np.concatenate(shares))


def test_an_epoch_is_a_function_of_seed_and_epoch_alone():
    sampler = pairs(SPEAKERS, 8, seed=1)
    later = batches(sampler, 7)
    batches(sampler, 2)
    np.testing.assert_array_equal(batches(pairs(SPEAKERS, 8, seed=1), 7), later)
    assert not np.array_equal(batches(sampler, 8), later)
    assert not np.array_equal(batches(pairs(SPEAKERS, 8, seed=2), 7), later)


def test_resuming_skips_without_changing_what_follows():
    sampler = pairs(SPEAKERS, 8, seed=1)
    assert list(sampler.epoch(4)[10:]) == list(sampler.epoch(4))[10:]


def test_frozen_pairs_return_in_every_epoch_under_the_epoch_of_their_crops():
    sampler = pairs(SPEAKERS, 8, seed=1, frozen=True)
    np.testing.assert_array_equal(batches(sampler, 0), batches(sampler, 9))


def test_all_epochs_have_the_same_number_of_batches():
    """Steps per epoch stay the same, though shuffles of few speakers fill different numbers of batches."""
    speakers = np.repeat(np.arange(42), 10)
    sampler = pairs(speakers, 16, seed=1)
    assert min(len(sampler._plan(epoch)) for epoch in range(20)) < sampler.steps_per_epoch
    for epoch in range(20):
        plan = batches(sampler, epoch)
        assert len(plan) == sampler.steps_per_epoch
        assert all(len(set(speakers[batch[:, 0]])) == 16 for batch in plan)


def test_a_speaker_gives_no_more_utterances_than_allowed():
    speakers = np.concatenate([np.repeat(np.arange(3), 100), np.repeat([3], 4)])
    used = np.concatenate(batches(pairs(speakers, 2, seed=0, max_utterances=11), 0)).ravel()
    assert max(np.bincount(speakers[used])) <= 10


def test_speakers_with_one_utterance_are_counted_and_left_out():
    speakers = [0, 0, 1, 2, 2, 3, 3, 4]
    sampler = pairs(speakers, 3, seed=0)
    assert sampler.num_left_out == 2
    assert sampler.steps_per_epoch == 1
    assert sampler.num_left_over == 0
    assert set(np.concatenate(batches(sampler, 0)).ravel().tolist()) == {0, 1, 3, 4, 5, 6}


def test_a_single_utterance_can_be_paired_with_itself_under_another_view():
    sampler = pairs([0, 0, 1], 2, seed=0, repeat_single=True)
    assert sampler.num_left_out == 0
    (batch,) = sampler.epoch(3)
    alone = [item for item in batch if item.utterance == 2]
    assert [item.view for item in alone] == [0, 1]


def test_both_views_can_be_augmented():
    for both in (False, True):
        (batch,) = pairs([0, 0, 1, 1], 2, seed=0, augment_both=both).epoch(0)
        assert [item.augment for item in batch] == [both, both, True, True]


def test_no_speaker_with_two_utterances():
    message = r"\[batches\] pairs_per_batch is 1, but only 0 speakers have at least 2 utterances; train on more"
    with pytest.raises(ValueError, match=message):
        pairs([0, 1, 2], 1, seed=0)


def test_more_pairs_in_a_batch_than_speakers():
    message = r"\[batches\] pairs_per_batch is 3, but only 2 speakers have at least 2 utterances; lower it to 2 or less"
    with pytest.raises(ValueError, match=message):
        pairs([0, 0, 1, 1, 2], 3, seed=0)


def test_more_speakers_in_a_batch_than_there_are():
    config = SpeakersConfig(speakers_per_batch=60, utterances_per_speaker=3)
    message = r"\[batches\] speakers_per_batch is 60, but only 2 speakers have at least 3 utterances; lower it to 2 or"
    with pytest.raises(ValueError, match=message):
        SpeakerSampler([0, 0, 0, 1, 1, 1, 2], config, seed=0)


def test_ranks_must_share_a_batch_evenly():
    message = r"\[batches\] pairs_per_batch is 8, which 3 ranks cannot share evenly; make it a multiple of 3"
    with pytest.raises(ValueError, match=message):
        pairs(SPEAKERS, 8, seed=0, world_size=3)


def test_a_clashing_row_waits_for_the_next_batch():
    assert distinct_batches(np.array([1, 1, 2, 3, 1, 2]), 2) == [[0, 2], [1, 3], [4, 5]]
    assert distinct_batches(np.array([1, 1, 1, 2]), 2) == [[0, 3]]


def test_speaker_batches_hold_each_speakers_utterances_side_by_side():
    sampler = SpeakerSampler(SPEAKERS, SpeakersConfig(speakers_per_batch=8, utterances_per_speaker=5), seed=0)
    seen = []
    for batch in sampler.epoch(1):
        rows = np.array([item.utterance for item in batch]).reshape(8, 5)
        assert (SPEAKERS[rows] == SPEAKERS[rows[:, :1]]).all()
        assert len(set(SPEAKERS[rows[:, 0]])) == 8
        assert [item.view for item in batch[:5]] == list(range(5))
        seen.extend(rows.ravel().tolist())
    assert len(set(seen)) == len(seen)
    counts = np.bincount(SPEAKERS)
    assert sampler.steps_per_epoch * 8 + sampler.num_left_over == (counts // 5).sum()


def test_speakers_with_fewer_utterances_than_a_group_are_counted():
    sampler = SpeakerSampler([0, 0, 0, 1, 1], SpeakersConfig(speakers_per_batch=1, utterances_per_speaker=3), seed=0)
    assert (sampler.num_left_out, sampler.steps_per_epoch) == (1, 1)


def test_shuffled_batches_hold_every_utterance_once_and_another_order_each_epoch():
    sampler = ShuffledSampler(SPEAKERS, ShuffledConfig(batch_size=64), seed=0)
    orders = [[item.utterance for batch in sampler.epoch(epoch) for item in batch] for epoch in (0, 1)]
    assert sampler.steps_per_epoch == 14
    assert sampler.num_left_over == 900 - 14 * 64
    assert all(len(set(order)) == 14 * 64 for order in orders)
    assert orders[0] != orders[1]
    assert orders[0] == [item.utterance for batch in sampler.epoch(0) for item in batch]
    assert [item.utterance for batch in sampler.epoch(0)[3:] for item in batch] == orders[0][3 * 64 :]


def test_the_union_of_the_ranks_of_shuffled_batches_is_the_batch_of_one_rank():
    config = ShuffledConfig(batch_size=60, augment=False)
    whole = ShuffledSampler(SPEAKERS, config, seed=0).epoch(2)
    parts = [ShuffledSampler(SPEAKERS, config, 0, world_size=3, rank=rank).epoch(2) for rank in range(3)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert batch == [item for share in shares for item in share]
        assert not any(item.augment for item in batch)


def test_a_batch_larger_than_the_set():
    with pytest.raises(
        ValueError, match=r"\[batches\] batch_size is 8, but there are only 3 utterances; lower it to 3 or"
    ):
        ShuffledSampler([0, 1, 2], ShuffledConfig(batch_size=8), seed=0)


def test_an_epoch_may_have_several_crops_of_each_utterance():
    config = ShuffledConfig(batch_size=4, repeats=3)
    sampler = ShuffledSampler([0, 0, 1, 2, 2, 2], config, seed=0)
    assert (sampler.steps_per_epoch, sampler.num_left_over) == (4, 2)
    items = [item for batch in sampler.epoch(1) for item in batch]
    assert len(set(items)) == 16
    assert {item.view for item in items} == {0, 1, 2}
    assert {item.utterance for item in items} <= set(range(6))
    once = ShuffledSampler(SPEAKERS, ShuffledConfig(batch_size=4), seed=0).epoch(0)
    assert {item.view for batch in once for item in batch} == {0}


@pytest.mark.parametrize("config", [PairsConfig, SpeakersConfig, ShuffledConfig])
def test_sizes_must_be_positive(config):
    name = next(iter(config.__dataclass_fields__))
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        config(**{name: 0})
