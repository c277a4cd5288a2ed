from pathlib import Path

import numpy as np
import pytest
import soundfile

from local.prepare_musan import half_of, source_of
from sv.kaldi import read_scp, validate_data_dir


def test_musan_is_halved_by_the_parity_of_the_file_number(run, speech, tmp_path):
    for category in ("noise", "music", "speech"):
        for number in range(1, 5):
            speech(tmp_path / "musan" / category / "source" / f"{category}-source-{number:04d}.wav", seed=number)
    done = run("local/prepare_musan.py", tmp_path / "musan", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert list(read_scp(tmp_path / "data/musan_music_train/wav.scp")) == ["music-source-0002", "music-source-0004"]
    assert list(read_scp(tmp_path / "data/musan_music_test/wav.scp")) == ["music-source-0001", "music-source-0003"]
    assert validate_data_dir(tmp_path / "data/musan_speech_test") == []


def test_musan_names_without_a_number_are_refused(run, speech, tmp_path):
    speech(tmp_path / "musan/noise/source/noise.wav")
    done = run("local/prepare_musan.py", tmp_path / "musan", tmp_path / "data")
    assert (done.returncode, "expected a file name that ends in four digits" in done.stderr) == (1, True)


def test_an_empty_category_is_named(run, speech, tmp_path):
    speech(tmp_path / "musan/noise/source/noise-source-0001.wav")
    done = run("local/prepare_musan.py", tmp_path / "musan", tmp_path / "data")
    assert (done.returncode, "musan_noise_train: no audio files" in done.stderr) == (1, True)


def test_rirs_take_the_first_channel_and_leave_the_noises_out(run, speech, tmp_path):
    root = tmp_path / "RIRS_NOISES"
    speech(root / "simulated_rirs/smallroom/Room001/Room001-00001.wav")
    real = root / "real_rirs_isotropic_noises"
    speech(real / "RWCP_type1_rir_a.wav", channels=4)
    speech(real / "RWCP_type1_noise_a.wav")
    done = run("local/prepare_rirs.py", root, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    paths = read_scp(tmp_path / "data/rirs/wav.scp")
    assert list(paths) == ["RWCP_type1_rir_a", "smallroom-Room001-Room001-00001"]
    first = soundfile.read(real / "RWCP_type1_rir_a.wav")[0][:, 0]
    np.testing.assert_allclose(soundfile.read(paths["RWCP_type1_rir_a"])[0], first, atol=2**-15)


def test_nonspeech100_is_resampled(run, speech, tmp_path):
    speech(tmp_path / "Nonspeech100/n1.wav", 1.0, rate=20_000)
    done = run("local/prepare_nonspeech100.py", tmp_path / "Nonspeech100", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert soundfile.info(read_scp(tmp_path / "data/nonspeech100/wav.scp")["n1"]).frames == 16_000


@pytest.mark.parametrize("corpus", ["musan", "rirs"])
def test_a_mirror_that_does_not_answer_is_one_line(run, tmp_path, corpus):
    done = run("local/download_corpora.py", "--url", "http://127.0.0.1:9", tmp_path, corpus)
    assert done.returncode == 1
    assert f"download_corpora.py: {corpus}: http://127.0.0.1:9/" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_folder_above_musan_is_named(run, speech, tmp_path):
    speech(tmp_path / "corpora/musan/noise/source/noise-source-0001.wav")
    done = run("local/prepare_musan.py", tmp_path / "corpora", tmp_path / "data")
    assert f"{tmp_path}/corpora: is the folder above MUSAN; give {tmp_path}/corpora/musan" in done.stderr
    done = run("local/prepare_musan.py", tmp_path / "corpora/musan/noise", tmp_path / "data")
    assert "none of the folders noise, music, speech; is this MUSAN, unpacked?" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("path", "utterance", "recording"),
    [
        ("free-sound/noise-free-sound-0003.wav", "noise-free-sound-0003", "noise-free-sound-0003"),
        ("free-sound/noise-free-sound-0003-0002.wav", "noise-free-sound-0003-0002", "noise-free-sound-0003"),
        ("free-sound/noise-free-sound-0003_12.wav", "noise-free-sound-0003_12", "noise-free-sound-0003"),
        ("free-sound/noise-free-sound-0003.00012.wav", "noise-free-sound-0003.00012", "noise-free-sound-0003"),
        ("free-sound/noise-free-sound-0003/00002.wav", "noise-free-sound-0003-00002", "noise-free-sound-0003"),
        ("fma/music-fma-0003/music-fma-0003-4.wav", "music-fma-0003-4", "music-fma-0003"),
    ],
)
def test_pieces_belong_to_their_recording(path, utterance, recording):
    source = source_of(Path("musan/noise") / path)
    assert (source.utterance, source.speaker, half_of(source.speaker)) == (utterance, recording, "test")


def test_only_the_categories_that_are_needed_have_to_be_there(run, speech, tmp_path):
    for number in (1, 2):
        speech(tmp_path / f"musan/noise/noise-x-000{number}.wav", seed=number)
    done = run("local/prepare_musan.py", "--needs", "noise", tmp_path / "musan", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "data").glob("musan_*")) == [
        "musan_noise_test",
        "musan_noise_train",
    ]
