from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch

import sv
from sv.bin import embed, export
from sv.embed.embedder import utterance_embedding
from sv.embed.export import takes_any_length
from sv.features.segments import cut_segments
from sv.kaldi import read_vectors
from sv.system.config import load_system
from sv.system.folder import build_model, write_system

LOG_MEL = 'type = "log_mel"\nnum_mel_bins = 16'
TRUNK = "num_mel_bins = 16\nchannels = [4, 8, 8, 16]\nblocks = [1, 1, 1, 1]\nembedding_dim = 12"
SYSTEMS = {
    "exu_net": (LOG_MEL, TRUNK),
    "unet": (LOG_MEL, TRUNK),
    "na_exu_net": (LOG_MEL, TRUNK),
    "resnet_se34v2": (f"{LOG_MEL}\nkeep_length = true", TRUNK),
    "ecapa_tdnn": ('type = "fbank"\nnum_mel_bins = 16', "num_mel_bins = 16\nchannels = 16\nembedding_dim = 12"),
    "noise_lora": (
        f"{LOG_MEL}\nkeep_length = true\nclamped = true\nsubtract_mean = true",
        "num_mel_bins = 16\nchannels = 16\nembedding_dim = 12\nnoise_channels = [2, 4, 4, 8]\ninit_scale = 0.1",
    ),
    "ge2e_lstm": (
        'type = "slaney_mel"\nsampling_rate = 8000\nnum_mel_bins = 16',
        "num_mel_bins = 16\nhidden = 8\nprojection = 4",
    ),
    "rawnet2": ('type = "waveform"', 'channels = [4, 8]\ngru_dim = 6\nembedding_dim = 5\nln_affine = "none"'),
    "rawnet1": ('type = "waveform"', "channels = [4, 8]\ngru_dim = 6\nembedding_dim = 5"),
    "diff_sv": (LOG_MEL, f'{TRUNK}\nscore_channels = 8\nsampling = {{start = "zero", num_steps = 2}}'),
}


@pytest.fixture
def model_of(tmp_path) -> Callable[[str], Path]:
    """A model folder of a system of SYSTEMS, or of one with another [model] section, with random weights."""

    def make(name: str, model: str = "") -> Path:
        features, own = SYSTEMS[name]
        path = tmp_path / f"{name}.toml"
        path.write_text(
            f'[features]\n{features}\n[model]\ntype = "{name}"\n{model or own}\n[extract]\nsegment_samples = 4000\n'
        )
        system = load_system(path)
        torch.manual_seed(0)
        write_system(tmp_path / name, system)
        (tmp_path / name / "checkpoints").mkdir()
        model = build_model(system)
        for entry, value in model.state_dict().items():
            if entry.endswith("running_var"):
                value.uniform_(0.5, 2)
        torch.save({"model": model.state_dict()}, tmp_path / name / "checkpoints" / "best.pt")
        return tmp_path / name

    return make


@pytest.mark.parametrize("name", SYSTEMS)
def test_torchscript_gives_the_embeddings_of_sv_embed(name, folder, model_of, tmp_path, capsys) -> None:
    model, wavs = model_of(name), sorted(folder.glob("*.wav"))
    export.main(["--model", str(model), "--format", "torchscript", str(tmp_path / "out.pt")])
    said = capsys.readouterr().out
    embed.main(["--model", str(model), *map(str, wavs), str(tmp_path / "out.ark")])
    extra = {"config.json": ""}
    exported, config = (
        torch.jit.load(tmp_path / "out.pt", _extra_files=extra),
        load_system(model / "config.json").extract,
    )
    assert extra["config.json"] == (model / "config.json").read_bytes()
    found = {}
    for wav in wavs:
        segments = cut_segments(soundfile.read(wav, dtype="float32")[0], config)
        with torch.no_grad():
            found[wav.stem] = utterance_embedding(exported(torch.from_numpy(segments)).numpy(), config.unit_segments)
    expected = read_vectors(tmp_path / "out.scp")
    assert list(found) == list(expected)
    for key, vector in expected.items():
        np.testing.assert_allclose(found[key], vector, atol=1e-5)
    dim = len(found[wavs[0].stem])
    length = "4000" if name == "rawnet1" else "samples"
    assert f"reads segments (batch, {length}) of 16 kHz audio in [-1, 1), gives embeddings (batch, {dim})" in said
    assert (
        "sv embed cuts segments of 4000 samples (consecutive) and averages their embeddings, each of unit length"
        in said
    )


def test_noise_by_digest_is_not_exported(model_of, fails, tmp_path) -> None:
    model = model_of("diff_sv", f"{TRUNK}\nscore_channels = 8")
    said = fails(export.main, "--model", model, "--format", "torchscript", tmp_path / "out.pt")
    assert (
        f"{model}: Diff-SV draws its noise by a digest of each segment's features, which no exported graph can" in said
    )
    assert not (tmp_path / "out.pt").exists()


def test_a_module_that_computes_something_else_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"embeddings of \(2, 10\) segments differ from the model's by 1.0e\+00 of their"
    ):
        takes_any_length(torch.nn.Identity(), lambda segments: 2 * segments, torch.ones(2, 10))

    def wrong_where_longer(segments: torch.Tensor) -> torch.Tensor:
        return segments if segments.shape[1] == 10 else 0 * segments

    with pytest.raises(ValueError, match=r"\(2, 15\) segments"):
        takes_any_length(torch.nn.Identity(), wrong_where_longer, torch.ones(2, 10))


def test_onnx_without_its_packages_says_what_to_install(model_of, fails, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sv.base.packages.find_spec", lambda name: None)
    said = fails(export.main, "--model", model_of("ge2e_lstm"), "--format", "onnx", tmp_path / "out.onnx")
    assert "--format onnx needs onnx, onnx-ir, onnxscript, onnxruntime: pip install 'noise-robust-sv[onnx]'" in said


@pytest.mark.parametrize("name", ["exu_net", "na_exu_net", "resnet_se34v2", "ecapa_tdnn", "noise_lora"])
def test_onnx_gives_the_embeddings_of_torchscript(name, model_of, tmp_path) -> None:
    model = str(model_of(name))
    for kind in ("torchscript", "onnx"):
        export.main(["--model", model, "--format", kind, str(tmp_path / kind)])
    exported, session = torch.jit.load(tmp_path / "torchscript"), onnxruntime.InferenceSession(tmp_path / "onnx")
    rng = np.random.default_rng(0)
    for shape in ((1, 4000), (3, 4000)) if name.endswith("exu_net") else ((1, 4000), (3, 4000), (2, 5000)):
        segments = (0.1 * rng.normal(size=shape)).astype(np.float32)
        expected = exported(torch.from_numpy(segments)).numpy()
        np.testing.assert_allclose(session.run(None, {"segments": segments})[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["exu_net", "resnet_se34v2"])
def test_an_exported_onnx_file_is_a_model_itself(name, model_of, folder, tmp_path) -> None:
    pytest.importorskip("onnxscript")
    model, out = model_of(name), tmp_path / "out.onnx"
    export.main(["--model", str(model), "--format", "onnx", str(out)])
    wavs = [folder / f"{utt}.wav" for utt in ("spk0-0", "spk1-2", "spk2-4")]
    expected, found = sv.load(model).embed(wavs), sv.load(out).embed(wavs)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_what_onnx_cannot_hold_is_said_in_one_line(model_of, fails, tmp_path) -> None:
    said = fails(export.main, "--model", model_of("ge2e_lstm"), "--format", "onnx", tmp_path / "out.onnx")
    assert "error: this model cannot be written as ONNX (" in said
    assert "; --format torchscript may do" in said
    assert not (tmp_path / "out.onnx").exists()
