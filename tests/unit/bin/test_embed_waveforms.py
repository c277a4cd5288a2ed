"""Models that read waveforms: recordings that are too short, silent, or of another sampling rate."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sv.bin import embed
from sv.data.audio import to_mono_16k
from sv.kaldi import read_vectors
from sv.system.config import load_system
from sv.system.folder import build_model, write_system

MODELS = {  # with the samples that leave a frame, two of RawNet3; pre-emphasis takes one
    "rawnet1_pytorch": ("channels = [4, 4, 8]\ngru_dim = 8\nembedding_dim = 6", 82),
    "rawnet2": ('ln_affine = "none"\nchannels = [4, 4, 8, 8]\ngru_dim = 8\nembedding_dim = 6', 493),
    "rawnet3": ("channels = 32\nscale = 4\npooled_channels = 16\nattention_dim = 4\nembedding_dim = 6", 541),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], Path]:
    """model(segment_samples): folder of a small model with random weights."""

    def make(segment_samples: int) -> Path:
        settings, _ = MODELS[request.param]
        config = tmp_path / "small.toml"
        config.write_text(
            f'[features]\ntype = "waveform"\n[model]\ntype = "{request.param}"\n{settings}\n'
            f"[extract]\nsegment_samples = {segment_samples}\nbatch_size = 2\n"
        )
        system = load_system(config)
        torch.manual_seed(0)
        write_system(tmp_path / "model", system)
        (tmp_path / "model" / "checkpoints").mkdir()
        torch.save({"model": build_model(system).state_dict()}, tmp_path / "model" / "checkpoints" / "best.pt")
        return tmp_path / "model"

    make.smallest = MODELS[request.param][1]
    return make


def embedded(model: Path, *files: Path) -> dict[str, np.ndarray]:
    out = model.parent / "out.ark"
    embed.main(["--model", str(model), *map(str, files), str(out)])
    return read_vectors(out.with_suffix(".scp"))


def test_a_recording_of_50_ms_is_repeated_to_a_segment(model, tmp_path) -> None:
    samples = 0.1 * np.random.default_rng(0).normal(size=800)
    soundfile.write(tmp_path / "short.wav", samples, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "repeated.wav", np.tile(samples, 5)[:3500], 16_000, subtype="FLOAT")
    found = embedded(model(3500), tmp_path / "short.wav", tmp_path / "repeated.wav")
    assert np.isfinite(found["short"]).all()
    assert found["short"].any()
    np.testing.assert_allclose(found["short"], found["repeated"], rtol=1e-5, atol=1e-6)


def test_segments_shorter_than_what_a_model_sees_are_refused_in_one_line(model, fails, tmp_path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).normal(size=3200), 16_000)
    arguments = [tmp_path / "a.wav", tmp_path / "out.ark"]
    said = fails(embed.main, "--model", model(model.smallest - 1), *arguments)
    assert f"needs at least {model.smallest} samples, got {model.smallest - 1}; make segments longer" in said
    assert not list(tmp_path.glob("out*"))


def test_the_shortest_segment_that_a_model_takes_has_an_embedding(model, tmp_path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).normal(size=3200), 16_000)
    assert np.isfinite(embedded(model(model.smallest), tmp_path / "a.wav")["a"]).all()


def test_silence_is_named_and_nothing_is_written(model, fails, tmp_path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 16_000)
    said = fails(embed.main, "--model", model(3500), tmp_path / "silent.wav", tmp_path / "out.ark")
    assert f"cannot use {tmp_path / 'silent.wav'}: silent: every sample is zero" in said
    assert not list(tmp_path.glob("out*"))


def test_digital_silence_within_a_recording_leaves_the_embedding_finite(model, tmp_path) -> None:
    samples = np.zeros(10_500)
    samples[:3500] = 0.1 * np.random.default_rng(0).normal(size=3500)
    soundfile.write(tmp_path / "mostly.wav", samples, 16_000, subtype="FLOAT")
    assert np.isfinite(embedded(model(3500), tmp_path / "mostly.wav")["mostly"]).all()


def test_a_recording_of_8_khz_is_resampled(model, tmp_path) -> None:
    narrow = 0.1 * np.random.default_rng(0).normal(size=(4000, 1))
    soundfile.write(tmp_path / "narrow.wav", narrow, 8000, subtype="FLOAT")
    narrow, _ = soundfile.read(tmp_path / "narrow.wav", dtype="float32", always_2d=True)
    soundfile.write(tmp_path / "wide.wav", to_mono_16k(narrow, 8000), 16_000, subtype="FLOAT")
    found = embedded(model(3500), tmp_path / "narrow.wav", tmp_path / "wide.wav")
    np.testing.assert_allclose(found["narrow"], found["wide"], rtol=1e-5, atol=1e-6)
