"""Silero's detector of speech: its rules by hand, and the package's own spans."""

import numpy as np
import pytest
import torch

from sv.data import silero
from sv.data.silero import WINDOW, only_speech, padded, raw_spans, speech_probabilities, speech_spans


def needs_package() -> None:
    if silero.find_spec("silero_vad") is None:
        pytest.skip("silero-vad is not installed")


def spoken(seed: int = 0) -> np.ndarray:
    """About 5 s of vowel-like sounds of a voice, with gaps, that the network takes for speech in part."""
    rng = np.random.default_rng(seed)
    parts = []
    for formants in ((730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (660, 1720, 2410), (300, 870, 2240)):
        time = np.arange(int(rng.uniform(0.3, 0.9) * 16_000)) / 16_000
        pitch = 2 * np.pi * np.cumsum(120 + 25 * np.sin(2 * np.pi * 2 * time)) / 16_000
        voice = np.zeros(len(time))
        for harmonic in range(1, 30):
            hz = 120 * harmonic
            gain = sum(1 / (1 + ((hz - formant) / 90) ** 2) for formant in formants)
            voice += gain * np.sin(harmonic * pitch)
        parts += [0.1 * voice * np.hanning(len(time)), np.zeros(int(rng.uniform(0.05, 0.5) * 16_000))]
    return (np.concatenate(parts) + 0.001 * rng.normal(size=sum(map(len, parts)))).astype(np.float32)


def test_a_span_ends_before_a_gap_of_100_ms_below_the_lower_threshold() -> None:
    yes, no, between = [0.9], [0.1], [0.4]
    long = 12 * yes  # 12 * 512 samples, above the 4000 that a span needs
    window = WINDOW
    assert raw_spans(np.array(long + 3 * no + long), 27 * window) == [(0, 27 * window)]  # 96 ms
    gap = raw_spans(np.array(long + 5 * no + long), 29 * window)  # 160 ms
    assert gap == [(0, 12 * window), (17 * window, 29 * window)]
    assert raw_spans(np.array(long + 9 * between + long), 33 * window) == [(0, 33 * window)]
    assert raw_spans(np.array(no + 7 * yes + 9 * no), 17 * window) == []  # 3584 samples
    assert raw_spans(np.array(no + 8 * yes + 9 * no), 18 * window) == [(window, 9 * window)]  # 4096
    assert raw_spans(np.array(5 * no + 20 * yes), 25 * window - 100) == [(5 * window, 25 * window - 100)]
    assert raw_spans(np.zeros(0), 0) == []


def test_spans_are_widened_by_30_ms_and_share_narrow_gaps() -> None:
    assert padded([(1000, 9000)], 20_000) == [(520, 9480)]
    assert padded([(100, 9000)], 9100) == [(0, 9100)]
    assert padded([(1000, 9000), (9500, 20_000)], 30_000) == [(520, 9250), (9250, 20_480)]
    assert padded([(1000, 9000), (9960, 20_000)], 30_000) == [(520, 9480), (9480, 20_480)]
    assert padded([], 100) == []


def test_the_package_finds_the_same_spans() -> None:
    threads = torch.get_num_threads()
    package = pytest.importorskip("silero_vad")
    torch.set_num_threads(threads)  # its import sets one
    network = package.load_silero_vad()
    found = 0
    for seed in range(3):
        for noise in (0.0, 0.02):
            samples = spoken(seed)
            samples = (samples + noise * np.random.default_rng(seed).normal(size=len(samples))).astype(np.float32)
            theirs = package.get_speech_timestamps(torch.from_numpy(samples), network)
            ours = speech_spans(samples)
            assert ours == [(span["start"], span["end"]) for span in theirs]
            found += len(ours)
    assert found > 3  # there was something to compare


@pytest.mark.parametrize("threads", [1, 2])
def test_spans_do_not_depend_on_what_came_before_or_on_threads(threads) -> None:
    needs_package()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first = speech_probabilities(spoken(0))
        speech_probabilities(spoken(1))
        np.testing.assert_array_equal(speech_probabilities(spoken(0)), first)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_only_speech_is_kept() -> None:
    needs_package()
    samples = spoken(0)
    expected = np.concatenate([samples[start:end] for start, end in speech_spans(samples)])
    kept = only_speech(samples)
    np.testing.assert_array_equal(kept, expected)
    assert 0 < len(kept) < len(samples)
    noise = 0.1 * np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    assert only_speech(noise).shape == (0,) and only_speech(noise).dtype == np.float32
    assert speech_spans(samples[:0]) == []


def test_without_the_package_it_is_named(monkeypatch) -> None:
    silero._network.cache_clear()
    monkeypatch.setattr("sv.base.packages.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"the detector of speech needs silero-vad: pip install '[\w-]+\[vad\]'"):
        speech_spans(np.zeros(1000, np.float32))
