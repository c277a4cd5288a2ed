"""Recordings of the worst trials: which, how many, and their files."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.base.layout import SAMPLING_RATE
from sv.kaldi import Trials, write_data_dir
from sv.kaldi.enrolment import write_enrolment
from sv.report.audio import MOST_FILES, MOST_SECONDS, remove_others, wanted, worst_of, write_audio
from sv.results.folder import ScoreList

# Misses, worst first: e-f, c-d, a-b. False alarms, worst first: a-d, c-f, e-b.
TRIALS = Trials(["a", "c", "e", "a", "c", "e"], ["b", "d", "f", "d", "f", "b"], np.arange(6) < 3)
SCORES = np.array([0.3, 0.2, 0.1, 0.9, 0.8, 0.7])
SPEAKERS = dict(zip("abcdef", ["x", "x", "y", "y", "z", "z"]))


def list_of(set_name: str, system: str = "ours") -> ScoreList:
    condition = set_name.partition("-")[2] or "clean"
    row = {"system": system, "test_set": "test", "condition": condition, "noise": None, "snr_db": None}
    return ScoreList(row=row, trials=TRIALS, scores=SCORES, utt2spk=SPEAKERS)


@pytest.fixture
def data(tmp_path) -> Path:
    """Data directories of a clean and a clipped set; each utterance is a tone of its own, f beyond the most seconds."""
    for set_name, level in (("test", 0.5), ("test-clip", 0.25)):
        wavs = tmp_path / "wavs" / set_name
        wavs.mkdir(parents=True)
        times = np.arange(SAMPLING_RATE // 4) / SAMPLING_RATE
        for i, utt in enumerate(SPEAKERS):
            tone = level * np.sin(2 * np.pi * (200 + 50 * i) * times)
            soundfile.write(wavs / f"{utt}.wav", np.tile(tone, 84 if utt == "f" else 1), SAMPLING_RATE)
        write_data_dir(
            tmp_path / "data" / set_name,
            wav_scp={utt: str(wavs / f"{utt}.wav") for utt in SPEAKERS},
            utt2spk=SPEAKERS,
            utt2dur={utt: 21.0 if utt == "f" else 0.25 for utt in SPEAKERS},
        )
    return tmp_path / "data"


def test_the_worst_of_each_kind_are_in_order() -> None:
    assert [(worst.kind, worst.trials) for worst in worst_of(list_of("test"))] == [
        ("misses", [2, 1, 0]),
        ("false alarms", [3, 4, 5]),
    ]


def test_the_last_condition_comes_first_and_trials_by_rank(data) -> None:
    found = wanted([[list_of("test")], [list_of("test-clip")]], data)
    clipped, clean = ("test-clip", "test")
    assert found[:4] == [(clipped, utt) for utt in "efad"]
    assert found[4:8] == [(clean, utt) for utt in "efad"]
    assert found[8:] == [(clipped, "c"), (clean, "c"), (clipped, "b"), (clean, "b")]


def test_there_are_never_more_than_the_most(data) -> None:
    many = Trials([f"e{i}" for i in range(40)], [f"t{i}" for i in range(40)], np.arange(40) < 20)
    lists = [
        [ScoreList(row=list_of("test").row, trials=many, scores=np.arange(40.0), utt2spk={})],
        [ScoreList(row=list_of("test-clip").row, trials=many, scores=np.arange(40.0), utt2spk={})],
    ]
    found = wanted(lists, data)
    assert len(found) == MOST_FILES
    assert found[:2] == [("test-clip", "e0"), ("test-clip", "t0")]


def test_of_enrolled_models_only_the_other_side_is_heard(data) -> None:
    write_enrolment(data / "test", {"m": ["a", "b"]})
    assert ("test", "e") not in wanted([[list_of("test")]], data)
    assert ("test", "f") in wanted([[list_of("test")]], data)


def test_files_hold_what_was_tested_cut_and_are_the_same_each_time(data, tmp_path) -> None:
    keys = [("test", "a"), ("test-clip", "f")]
    found = write_audio(keys, data, tmp_path / "my page-audio")
    assert list(found.addresses) == keys
    assert (
        found.said == f"Audio: 2 recordings of the worst of them, as they were tested, up to {MOST_SECONDS} s of each."
    )
    assert all(address.startswith("my%20page-audio/") for address in found.addresses.values())
    names = [address.partition("/")[2] for address in found.addresses.values()]
    own, rate = soundfile.read(tmp_path / "my page-audio" / names[0])
    np.testing.assert_array_equal(own, soundfile.read(tmp_path / "wavs/test/a.wav")[0])
    assert rate == SAMPLING_RATE
    assert soundfile.info(tmp_path / "my page-audio" / names[1]).frames == MOST_SECONDS * SAMPLING_RATE
    before = {path.name: path.read_bytes() for path in (tmp_path / "my page-audio").iterdir()}
    assert write_audio(keys, data, tmp_path / "my page-audio") == found
    assert {path.name: path.read_bytes() for path in (tmp_path / "my page-audio").iterdir()} == before


def test_what_cannot_be_reached_is_said(data, tmp_path) -> None:
    (tmp_path / "wavs/test/a.wav").unlink()
    found = write_audio([("test", "a"), ("test", "b"), ("gone", "a"), ("gone", "c")], data, tmp_path / "audio")
    assert list(found.addresses) == [("test", "b")]
    assert found.said.startswith("Audio: 1 recordings") and " 3 more cannot be reached (" in found.said
    assert "a.wav" in found.said
    nothing = write_audio([("gone", "a")], data, tmp_path / "none")
    assert nothing.addresses == {} and nothing.said.startswith("No audio: the recordings cannot be reached (")
    assert not (tmp_path / "none").exists()


def test_a_pipe_is_not_run(data, tmp_path) -> None:
    (data / "test/wav.scp").write_text(f"a touch {tmp_path}/ran |\n")
    found = write_audio([("test", "a")], data, tmp_path / "audio")
    assert found.addresses == {} and not (tmp_path / "ran").exists()


def test_only_own_files_that_no_page_has_are_removed(tmp_path) -> None:
    folder = tmp_path / "audio"
    folder.mkdir()
    for name in (f"{'a' * 16}.flac", f"{'b' * 16}.flac", "mine.flac"):
        (folder / name).write_bytes(b"x")
    remove_others(folder, f"audio/{'a' * 16}.flac")
    assert sorted(path.name for path in folder.iterdir()) == [f"{'a' * 16}.flac", "mine.flac"]
    (folder / "mine.flac").unlink()
    remove_others(folder, "")
    assert not folder.exists()
    remove_others(folder, "")
