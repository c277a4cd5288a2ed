"""Speech and silence on their way to a front end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sv.base.layout import feature_set
from sv.bin import compute_feats, embed
from sv.data.audio import BadAudio
from sv.embed import inputs
from sv.embed.inputs import SpeechOfSets, features_record, heard, set_features
from sv.embed.opening import open_model
from sv.features.segments import SegmentConfig
from sv.kaldi import iter_matrices, read_vectors, write_data_dir
from sv.system.folder import read_system

VAD = SegmentConfig(vad="silero", min_speech=0.5)


@pytest.fixture
def first_half(monkeypatch) -> None:
    """A detector that takes the first half for speech, and nothing in what begins with a zero."""
    monkeypatch.setattr(inputs, "only_speech", lambda samples: samples[: len(samples) // 2 if samples[0] else 0])


def test_speech_is_kept_and_too_little_is_refused(first_half) -> None:
    samples = np.ones(16_000, np.float32)
    assert len(heard(samples, VAD)) == 8000  # exactly the half second asked for
    with pytest.raises(BadAudio, match=r"0\.499 s of speech, less than the 0\.5 s that are asked for"):
        heard(samples[:-2], VAD)
    with pytest.raises(BadAudio, match="no speech in it"):
        heard(np.arange(16_000, dtype=np.float32), replace(VAD, min_speech=0.0))
    assert len(heard(samples, SegmentConfig())) == 16_000
    with pytest.raises(BadAudio, match="1 s of audio, less than the 2 s"):
        heard(samples, SegmentConfig(min_speech=2.0))
    with pytest.raises(ValueError, match="min_speech must be a number of seconds, got -1"):
        SegmentConfig(min_speech=-1)


def test_a_set_loses_no_utterance(first_half, capsys) -> None:
    speech = SpeechOfSets(VAD)
    samples = np.ones(16_000, np.float32)
    assert [len(speech(part)) for part in (samples, samples[:100], np.zeros(50, np.float32))] == [8000, 100, 50]
    speech.report("test")
    assert "WARNING test: 2 utterances have less than 0.5 s of speech and are taken whole" in capsys.readouterr().err
    SpeechOfSets(SegmentConfig()).report("test")
    assert capsys.readouterr().err == ""


def test_records_of_systems_without_a_detector_are_as_before() -> None:
    tables = {"features": {"type": "fbank"}, "extract": {"scheme": "even"}}
    plain = feature_set(tables)
    assert feature_set({**tables, "extract": {"scheme": "even", "vad": None, "min_speech": 0.0}}) == plain
    with_vad = {
        feature_set({**tables, "extract": {"scheme": "even", "vad": "silero", **more}})
        for more in ({}, {"min_speech": 1})
    }
    assert len(with_vad | {plain}) == 3


@pytest.fixture
def data_dir(voices, tmp_path) -> Path:
    samples = {f"s-{name}": soundfile.read(voices / f"{name}.wav")[0] for name in "abc"}
    write_data_dir(
        tmp_path / "test",
        wav_scp={utt: str(voices / f"{utt[-1]}.wav") for utt in samples},
        utt2spk=dict.fromkeys(samples, "s"),
        utt2dur={utt: len(values) / 16_000 for utt, values in samples.items()},
    )
    return tmp_path / "test"


def test_stages_3_and_5_and_sv_embed_cut_alike(voices, data_dir, tmp_path, first_half) -> None:
    toml = (voices / "tiny.toml").read_text() + 'vad = "silero"\nmin_speech = 0.3\n'
    (tmp_path / "tiny.toml").write_text(toml)
    compute_feats.main(["--config", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "feats"), str(data_dir)])
    stored = dict(iter_matrices(tmp_path / "feats" / "test" / "feats.1.scp"))
    embedder = open_model(voices / "model").listening("silero", 0.3)
    assert features_record(embedder.system)["vad"] == "silero"
    assert "vad" not in features_record(read_system(voices / "model"))
    direct = dict(set_features(embedder.system, embedder.frontend, data_dir, None, ["s-a", "s-b", "s-c"]))
    for utt, matrix in stored.items():
        np.testing.assert_array_equal(direct[utt], matrix)
    files = [str(voices / f"{name}.wav") for name in "bc"]  # a has 0.28 s, which the stages take whole
    options = ["--model", str(voices / "model"), "--vad", "silero", "--min-speech", "0.3"]
    embed.main([*options, *files, str(tmp_path / "out.ark")])
    staged = {utt[-1]: vector for utt, vector, _ in embedder(direct.items())}
    for name, vector in read_vectors(tmp_path / "out.scp").items():
        np.testing.assert_array_equal(vector, staged[name])
    with pytest.raises(SystemExit, match="1 of 1 recordings cannot be used"):
        embed.main([*options, str(voices / "a.wav"), str(tmp_path / "out.ark")])


def test_a_set_given_to_sv_embed_names_what_it_refuses(voices, data_dir, tmp_path, capsys) -> None:
    embed.main(
        ["--model", str(voices / "model"), "--min-speech", "1", "--skip-bad", str(data_dir), str(tmp_path / "out.ark")]
    )
    said = capsys.readouterr()
    assert said.out.startswith("2 recordings, 12 dimensions")
    assert "a.wav: 0.562 s of audio, less than the 1 s that are asked for" in said.err
