import gzip
import json
import pickle

import numpy as np
import pytest

from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.data.crowd import Crowd
from sv.data.dataset import TrainingSet, UtteranceIndex, write_drawn_cuts
from sv.data.manifests import import_lhotse, render
from sv.data.sampler import Item
from sv.kaldi.scp import DataDirError

CROP = 4_000
UTTERANCES = {f"{speaker}-{number}": 3_000 + 1_500 * number for speaker in "abcd" for number in range(3)}
CONFIG = AugmentConfig(noises=("crowd",), snr_db=(0.0, 0.0), num_babble=(3, 5))


@pytest.fixture
def index(make_set, noise):
    audio = {utt: noise(seed, length) for seed, (utt, length) in enumerate(UTTERANCES.items())}
    return UtteranceIndex(make_set("speech", audio, {utt: utt[0] for utt in UTTERANCES}))


def items(epochs=range(20)):
    return [Item(row, epoch, True) for epoch in epochs for row in range(len(UTTERANCES))]


def test_a_crowd_is_of_different_utterances_of_others_and_all_of_them_have_their_turn(index):
    dataset = TrainingSet(index, CROP, CONFIG, NoiseLibrary({}), seed=0)
    seen: dict[str, set[str]] = {}
    for item in items():
        speaker = dataset.name(item)[0]
        talkers = [piece.recording for piece in dataset.draw(item).pieces if piece.offset == 0]
        assert 3 <= len(talkers) == len(set(talkers)) <= 5
        seen.setdefault(speaker, set()).update(talkers)
    assert seen == {speaker: {utt for utt in UTTERANCES if utt[0] != speaker} for speaker in "abcd"}


def test_at_another_speed_the_speaker_is_still_not_in_the_crowd(index):
    config = AugmentConfig(noises=("crowd",), speeds=(1.0, 0.9), num_babble=(3, 5))
    dataset = TrainingSet(index, CROP, config, NoiseLibrary({}), seed=0)
    slower = [Item(row + len(UTTERANCES), epoch, True) for epoch in range(20) for row in range(len(UTTERANCES))]
    for item in slower:
        speaker = index.speakers[index.speaker_ids[dataset.locate(item)[0]]]
        assert speaker not in {piece.recording[0] for piece in dataset.draw(item).pieces}


def test_what_is_heard_is_the_utterances_added_up_and_lhotse_renders_the_same(index, tmp_path):
    """Beside another noise, too: a sum of categories finds the pieces of each."""
    config = AugmentConfig(noises=("crowd", "crowd+noise"), snr_db=(0.0, 10.0), num_babble=(3, 5))
    library = NoiseLibrary({"noise": tmp_path / "speech"})  # any recordings
    dataset = TrainingSet(index, CROP, config, library, seed=3)
    some = items(range(2))
    write_drawn_cuts(tmp_path / "cuts.jsonl.gz", dataset, [some])
    with gzip.open(tmp_path / "cuts.jsonl.gz") as lines:
        cuts = [import_lhotse().cut.set.deserialize_cut(json.loads(line)) for line in lines]
    for item, cut in zip(some, cuts, strict=True):
        waveform = dataset[item][0]
        np.testing.assert_allclose(render(cut), waveform, atol=1e-6 * np.abs(waveform).max())
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy[some[5]][0], dataset[some[5]][0])


def test_a_training_set_with_too_few_others_is_refused(index):
    dataset = TrainingSet(index, CROP, AugmentConfig(noises=("crowd",), num_babble=(3, 10)), NoiseLibrary({}), seed=0)
    with pytest.raises(DataDirError, match="crowd: up to 10 different recordings are summed, there are 9"):
        dataset[Item(0, 0, True)]


def test_only_a_training_set_brings_its_crowd(index):
    with pytest.raises(ValueError, match="no recordings of 'crowd'"):
        NoiseLibrary({}).check(CONFIG)
    with pytest.raises(KeyError):
        Crowd(index).utterances["a-9"]
    assert set(Crowd(index).utterances) == set(UTTERANCES)


def test_the_snr_of_babble_is_that_of_a_crowd():
    config = AugmentConfig(noises=("crowd", "noise"), babble_snr_db=(13.0, 20.0))
    assert [config.snr_range(name) for name in config.noises] == [(13.0, 20.0), (0.0, 20.0)]
