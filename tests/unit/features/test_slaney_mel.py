"""Mel features against librosa's numbers and another implementation."""

import numpy as np
import pytest
import torch
import torchaudio
from scipy.signal import resample_poly

from sv.features.slaney_mel import SlaneyMel, SlaneyMelConfig

AT_8K = SlaneyMelConfig(input_rate=8000, sampling_rate=8000)
RESEMBLYZER = SlaneyMelConfig(n_fft=400, log=False)


def tone_and_chirp(num_samples, rate, hz, loudness):
    t = np.arange(num_samples, dtype=np.float64)
    tones = loudness[0] * np.sin(2 * np.pi * hz * t / rate) + loudness[1] * np.sin(3.7e-5 * t**2 + 0.5 * t + 0.1)
    return torch.from_numpy(tones.astype(np.float32))[None]


def test_log_mel_of_librosa_with_reflected_edges():
    features = SlaneyMel(AT_8K)(tone_and_chirp(16_000, 8000, 440, (0.3, 0.1)))[0]
    assert features.shape == (40, 201)
    assert features[[0, 10, 39], 0].tolist() == pytest.approx([-0.529742, -0.724811, -3.402979], abs=1e-4)
    assert features[[0, 10, 39], 100].tolist() == pytest.approx([-5.493793, -3.954237, -6.000000], abs=1e-4)
    assert features.mean().item() == pytest.approx(-4.461793, abs=1e-4)


def test_mel_power_of_librosa():
    waveform = tone_and_chirp(32_000, 16_000, 200, (0.1, 0.05))
    # That librosa (0.11) sees zeros around the waveform: two frames of them on either side, then left out, do the same.
    features = SlaneyMel(RESEMBLYZER)(torch.nn.functional.pad(waveform, (320, 320)))[0, :, 2:-2]
    assert features.shape == (40, 201)
    assert features[:, 50].argmax() == 2
    assert features[2, 50].item() == pytest.approx(1.286724, rel=1e-5)
    assert features.sum().item() == pytest.approx(436.361, rel=1e-5)


@pytest.mark.parametrize("config", [AT_8K, SlaneyMelConfig(), RESEMBLYZER])
def test_every_cell_is_torchaudios(config, hashed_uniform):
    waveform = torch.from_numpy(0.2 * (2 * hashed_uniform(3, 9000) - 1)).float()[None]
    reference = torchaudio.transforms.MelSpectrogram(
        config.sampling_rate, n_fft=config.n_fft, win_length=config.window_length, hop_length=config.shift_length,
        n_mels=40, power=2.0, mel_scale="slaney", norm="slaney", pad_mode="reflect",
    )(waveform)  # fmt: skip
    expected = torch.log10(reference + 1e-6) if config.log else reference
    torch.testing.assert_close(SlaneyMel(config)(waveform), expected, rtol=1e-4, atol=1e-5)


def test_decimation_is_scipys(hashed_uniform):
    waveform = (2 * hashed_uniform(5, 16_001) - 1).astype(np.float32)
    halved = torch.from_numpy(resample_poly(waveform, 1, 2).astype(np.float32))[None]
    features = SlaneyMel(SlaneyMelConfig(sampling_rate=8000))(torch.from_numpy(waveform)[None])
    torch.testing.assert_close(features, SlaneyMel(AT_8K)(halved), rtol=1e-4, atol=1e-4)


def test_rates_and_lengths_that_make_no_features_are_refused():
    with pytest.raises(ValueError, match="input_rate 16000 must be a multiple of sampling_rate 12000"):
        SlaneyMelConfig(sampling_rate=12_000)
    with pytest.raises(ValueError, match=r"window_ms must be in \(0, 32.0\], got 40"):
        SlaneyMelConfig(window_ms=40.0)
    with pytest.raises(ValueError, match="shift_ms must be at least one sample, got 0"):
        SlaneyMelConfig(shift_ms=0.0)
    with pytest.raises(ValueError, match="mel features need at least 513 samples, got 512"):
        SlaneyMel(SlaneyMelConfig(sampling_rate=8000))(torch.zeros(1, 512))
