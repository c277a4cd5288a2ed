import gzip
import json
import pickle

import numpy as np
import pytest
import torch

from sv.data.audio import BadAudio, read_samples, tile_to
from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.data.dataset import TrainingSet, UtteranceIndex, load_batches, write_drawn_cuts
from sv.data.manifests import import_lhotse, render
from sv.data.mixing import measure_snr_db
from sv.data.perturb import PerturbConfig
from sv.data.sampler import Item, PairSampler, PairsConfig
from sv.data.speed import change_speed

CROP = 8_000
LENGTHS = {"a-1": 12_000, "a-2": 3_001, "b-1": 8_000, "b-2": 9_000, "c-1": 20_000, "c-2": 8_001}
CONFIG = AugmentConfig(noises=("noise", "babble"), snr_db=(0.0, 10.0), reverb_prob=0.5)


@pytest.fixture
def speech_dir(make_set, noise):
    audio = {utt: noise(seed, length) for seed, (utt, length) in enumerate(LENGTHS.items())}
    return make_set("speech", audio, {utt: utt[0] for utt in LENGTHS})


@pytest.fixture
def library(make_set, noise):
    room = noise(70, 2_000, 0.05) * np.exp(-np.arange(2_000) / 400).astype(np.float32)
    room[30] = 1.0
    return NoiseLibrary(
        {
            "noise": make_set("noise", {"noise-0": noise(50, 30_000), "noise-1": noise(51, 5_000)}),
            "babble": make_set("talkers", {f"talker-{i}": noise(60 + i, 15_000) for i in range(6)}),
        },
        make_set("rooms", {"room-0": room}),
    )


@pytest.fixture
def dataset(speech_dir, library):
    return TrainingSet(UtteranceIndex(speech_dir), CROP, CONFIG, library, seed=0)


def row_of(utterance: str) -> int:
    return list(LENGTHS).index(utterance)


def test_the_reference_is_the_crop_and_the_clean_view_is_the_reference(dataset):
    for utterance in LENGTHS:
        item = Item(row_of(utterance), 3, False)
        waveform, reference, speaker_id, name = dataset[item]
        start, length = dataset.crop(item)
        whole = read_samples(dataset.index.paths[item.utterance])
        np.testing.assert_array_equal(reference, tile_to(whole[start : start + length], CROP))
        np.testing.assert_array_equal(waveform, reference)
        assert (dataset.index.speakers[speaker_id], name) == (utterance[0], utterance)


def test_crops_reach_both_ends_and_differ_by_epoch_and_utterance(dataset):
    row = row_of("c-2")  # one sample longer than the crop: two possible crops
    starts = [dataset.crop(Item(row, epoch, False))[0] for epoch in range(40)]
    assert set(starts) == {0, 1}
    assert dataset.crop(Item(row_of("b-1"), 0, False)) == (0, CROP)
    long = [dataset.crop(Item(row_of(utt), 0, False))[0] for utt in ("a-1", "c-1")]
    assert long[0] != long[1]


def test_both_views_of_an_utterance_are_the_same_crop(dataset):
    item = Item(row_of("c-1"), 1, True)
    np.testing.assert_array_equal(dataset[item][1], dataset[item._replace(augment=False)][0])


def test_the_disturbed_view_has_the_drawn_snr(speech_dir, library):
    dry = AugmentConfig(noises=("babble",), snr_db=(3.0, 3.0))
    dataset = TrainingSet(UtteranceIndex(speech_dir), CROP, dry, library, seed=0)
    for utterance in LENGTHS:
        waveform, reference, _, _ = dataset[Item(row_of(utterance), 0, True)]
        assert measure_snr_db(reference, waveform) == pytest.approx(3.0, abs=1e-3)


def test_batches_do_not_depend_on_the_number_of_workers_or_ranks(dataset):
    whole = PairSampler(dataset.speaker_ids, PairsConfig(pairs_per_batch=2), seed=0).epoch(0)
    ranks = [
        PairSampler(dataset.speaker_ids, PairsConfig(pairs_per_batch=2), seed=0, world_size=2, rank=rank).epoch(0)
        for rank in (0, 1)
    ]
    alone = list(load_batches(dataset, whole))
    for batch, helped in zip(alone, load_batches(dataset, whole, num_workers=2), strict=True):
        assert torch.equal(batch.waveforms, helped.waveforms)
        assert torch.equal(batch.references, helped.references)
        assert batch.utterances == helped.utterances
    by_utterance = {utt: wave for batch in alone for utt, wave in zip(batch.utterances, batch.waveforms)}
    for plan in ranks:
        for batch in load_batches(dataset, plan):
            for utterance, waveform in zip(batch.utterances, batch.waveforms):
                assert torch.equal(waveform, by_utterance[utterance])


def test_a_copy_sent_to_a_process_that_was_not_forked_reads_the_same(dataset):
    item = Item(row_of("a-1"), 2, True)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset))[item][0], dataset[item][0])


def test_a_batch_holds_clean_first_views_then_disturbed_second_views(dataset):
    (batch,) = load_batches(dataset, PairSampler(dataset.speaker_ids, PairsConfig(pairs_per_batch=3), seed=0).epoch(0))
    assert batch.waveforms.shape == batch.references.shape == (6, CROP)
    assert batch.waveforms.dtype == torch.float32
    assert batch.speaker_ids.dtype == torch.long
    assert torch.equal(batch.speaker_ids[:3], batch.speaker_ids[3:])
    same = (batch.waveforms == batch.references).all(dim=1)
    assert same.tolist() == [True] * 3 + [False] * 3
    moved = batch.to(torch.device("cpu"))
    assert moved.utterances == batch.utterances
    assert torch.equal(moved.references, batch.references)


def test_what_is_drawn_can_be_written_out_as_lhotse_cuts(dataset, tmp_path):
    """Crops, repeated short utterances, rooms, looped noise and babble: lhotse renders what training sees."""
    plan = [
        [Item(row, epoch, augment) for row in range(len(LENGTHS))] for epoch in range(3) for augment in (False, True)
    ]
    write_drawn_cuts(tmp_path / "cuts.jsonl.gz", dataset, plan)
    with gzip.open(tmp_path / "cuts.jsonl.gz") as lines:
        cuts = [import_lhotse().cut.set.deserialize_cut(json.loads(line)) for line in lines]
    items = [item for batch in plan for item in batch]
    assert any(dataset.draw(item).rir for item in items)
    for item, cut in zip(items, cuts, strict=True):
        waveform, _, _, utterance = dataset[item]
        np.testing.assert_allclose(render(cut), waveform, atol=1e-6 * np.abs(waveform).max())
        assert cut.id == utterance


def test_a_speaker_at_another_speed_is_another_speaker(speech_dir, library):
    speeds = AugmentConfig(noises=("noise",), speeds=(1.0, 0.9, 1.1))
    plain = TrainingSet(UtteranceIndex(speech_dir), CROP, AugmentConfig(noises=("noise",)), library, seed=0)
    dataset = TrainingSet(UtteranceIndex(speech_dir), CROP, speeds, library, seed=0)
    assert (len(dataset), dataset.num_speakers) == (18, 9)
    assert dataset.speaker_ids.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]
    first = Item(0, 2, True)
    np.testing.assert_array_equal(dataset[first][0], plain[first][0])
    waveform, reference, speaker_id, name = dataset[Item(6, 2, True)]
    assert (speaker_id, name) == (3, "sp0.9-a-1")
    assert waveform.shape == reference.shape == (CROP,)
    start, length = dataset.crop(Item(6, 2, True))
    assert (start % 9, length) == (0, 7_200)
    whole = read_samples(dataset.index.paths[0])
    np.testing.assert_array_equal(reference, change_speed(whole[start : start + length], 0.9)[:CROP])
    short = dataset[Item(13, 0, False)][1]  # a-2 at 1.1
    slow = change_speed(read_samples(dataset.index.paths[1]), 1.1)
    assert len(slow) == -(-3_001 * 10 // 11)
    np.testing.assert_array_equal(short, tile_to(slow, CROP))


def test_lhotse_renders_what_training_sees_at_other_speeds(speech_dir, library, noise):
    speeds = AugmentConfig(noises=("noise", "babble"), speeds=(0.9, 1.1), reverb_prob=0.5)
    dataset = TrainingSet(UtteranceIndex(speech_dir), CROP, speeds, library, seed=0)
    for row in range(len(dataset)):
        if row % len(LENGTHS) == 1:
            continue  # repeated: lhotse rounds the length of each copy, ours is ceil(samples / speed)
        for augment in (False, True):
            item = Item(row, 1, augment)
            waveform, _, _, name = dataset[item]
            cut = dataset.to_cut(item)
            assert cut.id == name
            # lhotse may read a sample more or less: its resampled end differs, and the room spreads that.
            inner = slice(0, CROP - 64)
            np.testing.assert_allclose(render(cut)[inner], waveform[inner], atol=1e-5 * np.abs(waveform).max())


def test_a_missing_file_and_one_that_is_too_short_are_named(speech_dir, library):
    (speech_dir / "utt2dur").write_text("".join(f"{utt} 2.0\n" for utt in LENGTHS))
    (speech_dir / "b-2.wav").unlink()
    dataset = TrainingSet(UtteranceIndex(speech_dir), CROP, CONFIG, library, seed=0)
    with pytest.raises(BadAudio, match=r"^utterance b-1: .*b-1\.wav: wanted samples \d+ to \d+, the file ends at \d+$"):
        dataset[Item(row_of("b-1"), 0, False)]
    with pytest.raises(BadAudio, match=r"^utterance b-2: .*No such file or directory: '.*b-2\.wav'$"):
        dataset[Item(row_of("b-2"), 0, False)]


def test_the_noise_that_is_asked_for_must_be_there(speech_dir, library):
    with pytest.raises(ValueError, match="noises: no recordings of 'music'"):
        TrainingSet(UtteranceIndex(speech_dir), CROP, AugmentConfig(), library, seed=0)


def test_perturbed_items_are_keyed_and_keep_their_reference(speech_dir, library):
    always = PerturbConfig(gain_prob=1.0, coloured_prob=1.0)
    config = AugmentConfig(noise_prob=0.0, perturb=always)
    dataset = TrainingSet(UtteranceIndex(speech_dir), CROP, config, library, seed=0)
    item = Item(row_of("c-1"), 2, True)
    disturbed, reference, *_ = dataset[item]
    np.testing.assert_array_equal(dataset[item][0], disturbed)
    np.testing.assert_array_equal(dataset[Item(row_of("c-1"), 2, False)][0], reference)
    assert not np.allclose(dataset[Item(row_of("c-1"), 3, True)][0], disturbed)
    assert not np.allclose(disturbed, reference, rtol=0.01)
    with pytest.raises(ValueError, match=r"\[augment.perturb\] cannot be written as lhotse cuts"):
        dataset.to_cut(item)
    assert dataset.to_cut(Item(row_of("c-1"), 2, False)).num_samples == CROP
