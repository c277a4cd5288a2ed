import numpy as np
import pytest

from sv.data.audio import BadAudio
from sv.data.vad import speech_frames, split_speech, trim


def speech_in_silence():
    t = np.arange(8000, dtype=np.float64)
    samples = np.zeros(20_000)
    samples[5000:13_000] = 0.3 * np.sin(2 * np.pi * 440 * t / 8000) + 0.1 * np.sin(3.7e-5 * t**2 + 0.5 * t + 0.1)
    return samples.astype(np.float32)


def test_trim_and_split_are_librosas():
    assert trim(speech_in_silence(), top_db=14) == (4096, 14_336)
    assert split_speech(speech_in_silence(), top_db=20) == [(4096, 14_336)]


def test_frames_by_their_definition():
    samples = np.random.default_rng(0).standard_normal(10_000) * np.repeat([1, 1e-3, 0.5, 1e-4, 1e-9], 2000)
    padded = np.pad(samples, 1024)
    rms = np.array([np.sqrt(np.mean(padded[start : start + 2048] ** 2)) for start in range(0, 10_001, 512)])
    level = 20 * np.log10(np.maximum(rms, 1e-5) / rms.max())
    np.testing.assert_array_equal(speech_frames(samples, 20), level > -20)


def test_runs_end_with_the_recording_and_lie_apart():
    samples = np.concatenate([np.ones(4000), np.zeros(8000), np.ones(4000)])
    runs = split_speech(samples, 20, frame_length=256, hop_length=128)
    assert runs[-1][1] == 16_000 and runs[0][0] == 0 and len(runs) == 2
    assert runs[0][1] == pytest.approx(4000, abs=256) and runs[1][0] == pytest.approx(12_000, abs=256)
    assert trim(samples, 20, 256, 128) == (0, 16_000)


def test_a_click_mutes_quieter_speech():
    samples = 0.01 * speech_in_silence()
    samples[16_000:16_010] = 1.0
    assert all(start > 13_000 for start, _ in split_speech(samples, top_db=20))


def test_pure_silence_is_refused():
    for function in (trim, split_speech):
        with pytest.raises(BadAudio, match="silent: every sample is zero, so no part of it is speech"):
            function(np.zeros(8000))
