"""NoiseLoRA-SV's training state: its settings, its teacher, its front end; names and numbers are in test_layouts.py."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchaudio

from sv.published.convert import CheckpointError, UsageError, convert_checkpoint, read_checkpoint
from sv.system.folder import load_model

AUDIO = {
    "sample_rate": 16000,
    "crop_seconds": 3.0,
    "n_fft": 512,
    "win_length_ms": 25,
    "hop_length_ms": 10,
    "n_mels": 80,
    "f_min": 20.0,
    "f_max": 7600.0,
    "preemphasis": 0.97,
    "log_eps": 1e-6,
    "mean_norm": True,
}


def mel_spectrogram(low_hz: float = 20.0) -> torchaudio.transforms.MelSpectrogram:
    return torchaudio.transforms.MelSpectrogram(
        16_000, 512, 400, 160, low_hz, 7600.0, n_mels=80, window_fn=torch.hamming_window
    )


def training_state(weights: dict, audio: dict[str, Any], alpha: float | None = 8, low_hz: float = 20.0) -> dict:
    """A file as the published code saves it."""
    buffers = {f"frontend.melspec.{name}": value for name, value in mel_spectrogram(low_hz).state_dict().items()}
    teacher = {
        name.replace("student.", "teacher."): value for name, value in weights.items() if name.startswith("student.")
    }
    return {
        "epoch": 3,
        "model": buffers | weights | teacher,
        "criterion": {"speaker.weight": torch.zeros(7, 192)},
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3, "params": [0]}]},
        "scheduler": {"gamma": 0.97, "last_epoch": 3},
        "config": {"audio": audio, "model": {"lora": {"rank": 4} | ({"alpha": alpha} if alpha else {})}},
    }


@pytest.fixture
def convert(weights_of, tmp_path: Path):
    """(options, arguments of `training_state`) -> the model folder that results."""

    def build(options: dict | None = None, audio: dict | None = None, **arguments) -> Path:
        torch.manual_seed(0)
        torch.save(training_state(weights_of("noise_lora"), AUDIO | (audio or {}), **arguments), tmp_path / "last.pth")
        convert_checkpoint("noise_lora", tmp_path / "last.pth", tmp_path / "exp", options or {})
        return tmp_path / "exp"

    return build


def test_a_training_state_gives_the_student_and_its_settings(convert) -> None:
    record, _, model = load_model(convert(audio={"hop_length_ms": 12, "f_min": 0}, alpha=2, low_hz=0.0))
    features = record.features
    assert (features.shift_ms, features.low_hz, features.high_hz, features.n_fft) == (12.0, 0.0, 7600.0, 512)
    assert features.clamped and features.subtract_mean and features.keep_length
    assert record.model.alpha == 2 and model.adapters[0].scale == 0.5
    assert (record.extract.scheme, record.extract.unit_segments) == ("whole", False)
    assert not [name for name in model.state_dict() if "teacher" in name]


def test_an_option_says_more_than_the_file(convert) -> None:
    assert load_model(convert({"alpha": "6"}, alpha=2))[0].model.alpha == 6
    assert load_model(convert(alpha=None))[0].model.alpha == 8


def test_the_front_end_is_the_published_one(convert) -> None:
    _, frontend, _ = load_model(convert())
    samples = 0.1 * torch.randn(2, 9_000)
    samples[1] *= 1e-4  # near the floor
    before = torch.cat([samples[:, 1:2], samples[:, :-1]], dim=1)  # pre-emphasis mirrors the first sample
    mels = mel_spectrogram()(samples - 0.97 * before).clamp_min(1e-6).log()
    torch.testing.assert_close(frontend(samples), mels - mels.mean(dim=2, keepdim=True), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("audio", "arguments", "message"),
    [
        (
            {},
            {"low_hz": 100.0},
            "its frontend.melspec.mel_scale.fb is not that of the front end that its config describes",
        ),
        ({"win_length_ms": 20}, {}, "its frontend.melspec.spectrogram.window is not that of the front end"),
        ({"mean_norm": False}, {}, "its config has mean_norm false, but our networks centre what they read"),
    ],
)
def test_another_front_end_is_refused(convert, audio, arguments, message, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"last.pth: {message}"):
        convert(audio=audio, **arguments)
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize("alpha", ["0", "-1", "nan", "inf", "much"])
def test_alpha_must_be_a_number_above_zero(convert, alpha) -> None:
    with pytest.raises(UsageError, match=f"option alpha must be above zero, got '{alpha}'"):
        convert({"alpha": alpha})


def test_the_clean_encoder_is_no_noise_lora(weights_of, tmp_path: Path) -> None:
    torch.save({"model": weights_of("ecapa_noise_lora")}, tmp_path / "clean.pth")
    with pytest.raises(CheckpointError, match=r"not a checkpoint of noise_lora: .*; it is one of ecapa_noise_lora$"):
        read_checkpoint("noise_lora", tmp_path / "clean.pth")
