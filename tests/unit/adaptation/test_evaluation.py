"""Noise on held-out speakers: at the SNR that was asked for, the same at every evaluation."""

import numpy as np
import pytest
import soundfile

from sv.adaptation.evaluation import HeldOutAudio
from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.kaldi import write_data_dir


def write_set(folder, names, samples):
    rng = np.random.default_rng(len(folder.name))
    folder.mkdir()
    for name in names:
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.normal(size=samples), 16_000, subtype="PCM_16")
    write_data_dir(
        folder,
        wav_scp={name: str(folder / f"{name}.wav") for name in names},
        utt2spk={name: name for name in names},
        utt2dur=dict.fromkeys(names, samples / 16_000),
    )


@pytest.fixture
def folders(tmp_path):
    write_set(tmp_path / "valid", ["a-1", "b-1"], 8000)
    write_set(tmp_path / "noise", ["n1", "n2", "n3"], 3000)
    return tmp_path


def audio_of(folders, seed=0):
    library = NoiseLibrary({"noise": folders / "noise", "babble": folders / "noise"})
    augment = AugmentConfig(noise_prob=0.2, reverb_prob=0.9, num_babble=(2, 3))  # whose shares are of training alone
    return HeldOutAudio(folders / "valid", library, augment, seed)


@pytest.mark.parametrize(("noise", "snr_db"), [("noise", 0.0), ("noise", 7.5), ("babble", -3.0)])
def test_noise_is_at_its_snr_and_the_same_each_time(folders, noise, snr_db) -> None:
    audio, utterances = audio_of(folders), ["a-1", "b-1"]
    clean = dict(audio(utterances, None))
    noisy = dict(audio(utterances, (noise, snr_db)))
    for utterance in utterances:
        added = (noisy[utterance] - clean[utterance]).astype(np.float64)
        measured = 10 * np.log10(np.mean(clean[utterance].astype(np.float64) ** 2) / np.mean(added**2))
        assert measured == pytest.approx(snr_db, abs=1e-3)
    again = dict(audio(["b-1"], (noise, snr_db)))  # whatever came before
    assert np.array_equal(again["b-1"], noisy["b-1"])
    other = dict(audio_of(folders, seed=1)(utterances, (noise, snr_db)))
    assert not np.array_equal(other["a-1"], noisy["a-1"])


def test_silence_stays_silent(folders) -> None:
    soundfile.write(folders / "valid/a-1.wav", np.zeros(8000), 16_000, subtype="PCM_16")
    assert not dict(audio_of(folders)(["a-1"], ("noise", 0.0)))["a-1"].any()
