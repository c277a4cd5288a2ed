"""SpeechBrain's filterbank: its numbers, its filters by hand, its floors."""

import math

import numpy as np
import pytest
import torch

from sv.features.decibel_mel import DecibelMel, DecibelMelConfig, symmetric_filters


def test_every_cell_by_another_way(hashed_uniform) -> None:
    samples = 0.2 * (2 * hashed_uniform(3, 4000) - 1)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.pad(samples, 200)
    frames = np.stack([padded[start : start + 400] * window for start in range(0, 4001, 160)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    hz = 700 * (10 ** (np.linspace(0, 2595 * math.log10(1 + 8000 / 700), 82) / 2595) - 1)
    distance = np.abs(np.linspace(0, 8000, 201)[:, None] - hz[1:-1]) / (hz[1:-1] - hz[:-2])
    decibels = 10 * np.log10(np.maximum(power @ np.maximum(1 - distance, 0), 1e-10))
    expected = np.maximum(decibels, decibels.max() - 80)
    features = DecibelMel(DecibelMelConfig())(torch.from_numpy(samples.astype(np.float32))[None])
    assert features.shape == (1, 80, 26)
    np.testing.assert_allclose(features[0].T, expected, atol=2e-3)


# speechbrain.lobes.features.Fbank(n_mels=80) of .3 sin(2 pi 440 t / 16000), 0.2 s
SPEECHBRAIN = {
    (0, 10): -51.29,
    (14, 0): 22.213,
    (14, 10): 26.243,
    (13, 10): 19.418,
    (15, 20): 23.111,
    (60, 10): -51.29,
    (79, 0): -29.581,
}


def test_numbers_of_speechbrain() -> None:
    tone = 0.3 * torch.sin(2 * math.pi * 440 * torch.arange(3200, dtype=torch.float64) / 16000)
    features = DecibelMel(DecibelMelConfig())(tone.float()[None])[0]
    assert features.shape == (80, 21)
    assert {cell: round(features[cell].item(), 3) for cell in SPEECHBRAIN} == pytest.approx(SPEECHBRAIN, abs=0.01)


def test_a_filters_upper_side_is_as_wide_as_its_lower_one() -> None:
    filters = symmetric_filters(DecibelMelConfig(num_mel_bins=2, n_fft=16000, window_ms=25.0))  # a bin for each Hz
    for weights in filters:
        used = weights.nonzero().flatten()
        peak = int(weights.argmax())
        assert abs((peak - used[0]) - (used[-1] - peak)) <= 1 and weights.max() > 0.999
    points = [700 * ((1 + 8000 / 700) ** (k / 3) - 1) for k in range(4)]
    assert int(filters[1].nonzero()[-1]) == math.floor(2 * points[2] - points[1])  # short of the edge above


def test_the_floor_is_below_the_loudest_cell_of_each_waveform() -> None:
    loud = torch.zeros(2, 16_000)
    loud[:, 8000] = torch.tensor([1.0, 0.1])
    features = DecibelMel(DecibelMelConfig())(loud)
    assert (features.amax(dim=(1, 2)) - features.amin(dim=(1, 2))).tolist() == pytest.approx([80, 80], abs=1e-4)
    assert (features[0].amax() - features[1].amax()).item() == pytest.approx(20, abs=1e-3)
    assert DecibelMel(DecibelMelConfig())(torch.zeros(1, 1000)).unique().tolist() == pytest.approx([-100])


def test_batches_and_waveforms_alone_are_alike(hashed_uniform) -> None:
    waveforms = torch.from_numpy(hashed_uniform(5, 6000).reshape(3, 2000)).float()
    features = DecibelMel(DecibelMelConfig())
    torch.testing.assert_close(features(waveforms)[1:2], features(waveforms[1:2]), rtol=0, atol=0)


def test_values_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="range_db must be positive, got 0"):
        DecibelMelConfig(range_db=0)
    with pytest.raises(ValueError, match="at least 1 sample"):
        DecibelMel(DecibelMelConfig())(torch.zeros(1, 0))
