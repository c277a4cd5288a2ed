"""Log-mel features against the published front end's numbers and against a slow transcription of the definition."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sv.features.log_mel import LogMel, LogMelConfig


@pytest.fixture(scope="module")
def waveform(hashed_uniform) -> np.ndarray:
    time = np.arange(40_880) / 16_000
    tones = 0.3 * np.sin(2 * np.pi * 220 * time) + 0.1 * np.sin(2 * np.pi * 1375 * time)
    return tones + 0.02 * (2 * hashed_uniform(7, 40_880) - 1)


def slow_log_mel(waveform: np.ndarray) -> np.ndarray:
    """The definition, frame by frame in float64: (64, frames)."""
    emphasised = np.pad(waveform[1:] - 0.97 * waveform[:-1], 512, mode="reflect")
    window = np.zeros(1024)
    window[312:712] = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 400)
    starts = range(0, len(emphasised) - 1023, 160)
    power = np.array([np.abs(np.fft.rfft(window * emphasised[start : start + 1024])) ** 2 for start in starts])
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 66) / 2595) - 1)
    hz = np.linspace(0, 8000, 513)
    filters = [np.interp(hz, edges[m : m + 3], [0, 1, 0]) for m in range(64)]
    return np.log(np.array(filters) @ power.T + 1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden_values(dtype: torch.dtype, waveform: np.ndarray) -> None:
    features = LogMel(LogMelConfig())(torch.from_numpy(waveform)[None].to(dtype))
    assert features.shape == (1, 64, 256)
    assert features.dtype == torch.float32
    summary = [features.mean().item(), features.std().item()]
    cells = [features[0, mel, frame].item() for mel, frame in ((0, 0), (10, 100), (40, 128), (63, 255))]
    assert summary == pytest.approx([-2.31868, 2.89267], rel=1e-4)
    assert cells == pytest.approx([-3.4211, -5.85019, -1.70604, 0.307012], rel=1e-4)
    normalised = F.instance_norm(features)[0]
    assert [normalised[10, 100].item(), normalised[40, 128].item()] == pytest.approx([0.774315, 0.140775], rel=1e-4)


def test_every_cell_agrees_with_the_definition(waveform: np.ndarray) -> None:
    features = LogMel(LogMelConfig())(torch.from_numpy(waveform)[None])[0].numpy()
    np.testing.assert_allclose(features, slow_log_mel(waveform), atol=1e-4)


def test_samples_of_test_segments_give_384_frames() -> None:
    assert LogMel(LogMelConfig())(torch.zeros(1, 61_360)).shape == (1, 64, 384)


def test_digital_silence_is_the_log_of_the_floor() -> None:
    features = LogMel(LogMelConfig())(torch.zeros(2, 16_000))
    torch.testing.assert_close(features, torch.full_like(features, -13.8155), atol=1e-4, rtol=0)


def test_waveforms_of_a_batch_do_not_affect_each_other(waveform: np.ndarray) -> None:
    front_end, batch = LogMel(LogMelConfig()), torch.from_numpy(waveform[:40_000]).reshape(4, 10_000)
    alone = torch.cat([front_end(row[None]) for row in batch])
    torch.testing.assert_close(front_end(batch), alone, rtol=0, atol=0)


def test_other_sizes_agree_with_torch_stft_and_a_dense_product() -> None:
    config = LogMelConfig(num_mel_bins=24, n_fft=512, window_ms=20, shift_ms=12.5, low_hz=100, high_hz=7000)
    waveform = torch.rand(2, 8_000) - 0.5
    front_end = LogMel(config)
    emphasised = waveform[:, 1:] - 0.97 * waveform[:, :-1]
    window = torch.hamming_window(320)
    power = torch.stft(emphasised, 512, 200, 320, window, return_complex=True).abs().square()
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([100, 7000]) / 700)), 26) / 2595) - 1)
    hz = np.linspace(0, 8000, 257)
    filters = np.array([np.interp(hz, edges[m : m + 3], [0, 1, 0]) for m in range(24)])
    expected = torch.log(torch.from_numpy(filters).float() @ power + 1e-6)
    torch.testing.assert_close(front_end(waveform), expected, atol=1e-4, rtol=1e-4)


def test_checkpoints_have_no_entries_of_the_front_end() -> None:
    assert LogMel(LogMelConfig()).state_dict() == {}


def test_too_short_a_waveform_is_named() -> None:
    front_end = LogMel(LogMelConfig())
    with pytest.raises(ValueError, match="log-mel features need at least 514 samples, got 513"):
        front_end(torch.zeros(1, 513))
    assert front_end(torch.zeros(1, 514)).shape == (1, 64, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"high_hz": 9000.0}, r"low_hz and high_hz must be ascending in \[0, 8000.0\], got 0.0 and 9000.0"),
        ({"low_hz": 8000.0}, r"low_hz and high_hz must be ascending in \[0, 8000.0\], got 8000.0 and 8000.0"),
        ({"input_scale": 0.0}, "input_scale must be positive, got 0.0"),
        ({"log_floor": 0.0}, "log_floor must be positive, got 0.0"),
        ({"window_ms": 70.0}, r"window_ms must be in \(0, 64.0\], got 70.0"),
        ({"shift_ms": 0.0}, "shift_ms must be at least one sample, got 0.0"),
        ({"num_mel_bins": 400}, "too many filters for this FFT length: filter 0 covers no FFT bin"),
    ],
)
def test_config_names_what_is_wrong(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogMel(LogMelConfig(**changes))


DIFF_SV = {"num_mel_bins": 80, "n_fft": 512, "low_hz": 20.0, "high_hz": 7600.0, "keep_length": True}


def test_golden_values_of_diff_sv(waveform: np.ndarray) -> None:
    samples = torch.from_numpy(waveform[:31_920])[None]
    features = LogMel(LogMelConfig(**DIFF_SV))(samples)
    assert features.shape == (1, 80, 200)
    assert [features.mean().item(), features.std().item()] == pytest.approx([-3.37047, 2.88792], rel=1e-4)
    cells = [features[0, mel, frame].item() for mel, frame in ((0, 0), (10, 100), (79, 199))]
    assert cells == pytest.approx([-4.28849, -3.80498, -0.806106], rel=1e-4)
    centred = LogMel(LogMelConfig(**DIFF_SV, subtract_mean=True))(samples)
    cells = [centred[0, mel, frame].item() for mel, frame in ((0, 0), (10, 100), (79, 199))]
    assert cells == pytest.approx([4.26032, -0.0330575, -0.257055], rel=1e-3)
    torch.testing.assert_close(centred, features - features.mean(-1, keepdim=True), atol=1e-5, rtol=0)


def test_a_floor_is_the_least_power_or_is_added() -> None:
    samples = 1e-4 * torch.randn(1, 4_000)
    floors = {clamped: LogMel(LogMelConfig(**DIFF_SV, log_floor=1e-6, clamped=clamped)) for clamped in (False, True)}
    added, least = (floors[clamped](samples).double().exp() for clamped in (False, True))
    powers = added - 1e-6
    torch.testing.assert_close(least, powers.clamp_min(1e-6), rtol=1e-3, atol=0)
    assert (powers < 1e-6).any() and (powers > 1.1e-6).any()


def test_pre_emphasis_that_keeps_the_length_reflects_the_first_sample() -> None:
    shortening, keeping = (LogMel(LogMelConfig(keep_length=keep)) for keep in (False, True))
    samples = torch.randn(1, 4_000)
    reflected = torch.cat([samples[:, 1:2], samples], dim=1)
    assert keeping(samples).shape[-1] == 4_000 // 160 + 1
    torch.testing.assert_close(keeping(samples), shortening(reflected), rtol=0, atol=0)
