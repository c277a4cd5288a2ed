"""Kaldi-compatible filterbanks against Kaldi's own output and against kaldi-native-fbank."""

from pathlib import Path

import kaldi_native_fbank
import numpy as np
import pytest
import soundfile
import torch

from sv.features.fbank import Fbank, FbankConfig

GOLDEN = Path(__file__).parents[2] / "golden" / "kaldi_fbank"


@pytest.fixture(scope="module")
def chirp() -> torch.Tensor:
    samples, _ = soundfile.read(GOLDEN / "chirp.wav", dtype="float32")
    return torch.from_numpy(samples)[None]


@pytest.mark.parametrize(
    ("name", "config", "num_frames"),
    [
        ("fbank80", FbankConfig(), 198),
        ("fbank80_nosnip_hf7600", FbankConfig(snip_edges=False, high_hz=7600), 200),
        ("fbank80_hamming_energy", FbankConfig(window="hamming"), 198),
    ],
)
def test_agrees_with_kaldi(name: str, config: FbankConfig, num_frames: int, chirp: torch.Tensor) -> None:
    features = Fbank(config)(chirp)[0].T.numpy()
    assert features.shape == (num_frames, 80)
    golden = np.load(GOLDEN / f"{name}.every4.npy")[:, -80:]  # without the energy
    difference = np.abs(features[::4] - golden)
    assert difference.max() < 0.01
    assert difference.mean() < 1e-4


def native_fbank(samples: np.ndarray, **mel_options: float) -> np.ndarray:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    for name, value in mel_options.items():
        setattr(options.mel_opts, name, value)
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(16_000, (samples * 32_768).tolist())
    fbank.input_finished()
    return np.stack([fbank.get_frame(frame) for frame in range(fbank.num_frames_ready)])


@pytest.mark.parametrize("num_samples", [1_600, 16_000, 16_079, 16_080, 16_159])
def test_agrees_with_kaldi_native_fbank_at_any_length(num_samples: int) -> None:
    samples = np.random.default_rng(num_samples).normal(0, 0.05, num_samples).astype(np.float32)
    config = FbankConfig(snip_edges=False, num_mel_bins=40, low_hz=60, high_hz=7000)
    features = Fbank(config)(torch.from_numpy(samples)[None])[0].T.numpy()
    native = native_fbank(samples, num_bins=40, low_freq=60, high_freq=7000)
    assert features.shape == native.shape
    np.testing.assert_allclose(features, native, atol=2e-3)


def test_digital_silence_is_the_log_of_the_floor() -> None:
    features = Fbank(FbankConfig())(torch.zeros(2, 16_000))
    torch.testing.assert_close(features, torch.full((2, 80, 98), -15.9424), atol=1e-4, rtol=0)


def test_waveforms_of_a_batch_do_not_affect_each_other(chirp: torch.Tensor) -> None:
    front_end, batch = Fbank(FbankConfig()), chirp.reshape(4, 8_000)
    alone = torch.cat([front_end(row[None]) for row in batch])
    torch.testing.assert_close(front_end(batch), alone, rtol=0, atol=0)


def test_too_short_a_waveform_is_named() -> None:
    front_end = Fbank(FbankConfig())
    with pytest.raises(ValueError, match="filterbanks need at least 400 samples, got 399"):
        front_end(torch.zeros(1, 399))
    assert front_end(torch.zeros(1, 400)).shape == (1, 80, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"high_hz": 8001.0}, r"low_hz and high_hz must be ascending in \[0, 8000.0\], got 20.0 and 8001.0"),
        ({"window": "hann"}, "window must be povey or hamming, got 'hann'"),
        ({"shift_ms": 30.0}, r"shift_ms must be in \(0, window_ms = 25.0\], got 30.0"),
        ({"num_mel_bins": 400}, "too many filters for this FFT length: filter 0 covers no FFT bin"),
    ],
)
def test_config_names_what_is_wrong(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fbank(FbankConfig(**changes))


def test_samples_as_they_are_lose_a_constant_and_meet_the_floor_sooner(chirp: torch.Tensor) -> None:
    integers = Fbank(FbankConfig())(chirp)
    plain = Fbank(FbankConfig(input_scale=1.0))(chirp)
    constant = 2 * np.log(32768)
    above = plain > np.log(torch.finfo(torch.float32).eps) + 1e-3
    assert above.float().mean() > 0.9
    torch.testing.assert_close(plain[above], (integers - constant)[above], rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="input_scale must be positive, got 0"):
        FbankConfig(input_scale=0)
