"""sv.load and what it returns, against `sv embed` and `sv verify`, to the bit."""

import doctest
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import sv
from sv.base.config import ConfigError
from sv.base.files import sha256_of
from sv.bin import embed, verify
from sv.data.audio import BadAudio, load_speech
from sv.embed import api
from sv.kaldi import read_vectors
from sv.scoring.calibration import LogisticCalibration, write_calibration


@pytest.fixture(scope="module")
def model(voices) -> api.SpeakerModel:
    return sv.load(voices / "model")


@pytest.fixture(scope="module")
def expected(voices, tmp_path_factory) -> dict[str, np.ndarray]:
    """Embeddings of `sv embed`."""
    out = tmp_path_factory.mktemp("embedded") / "out.ark"
    embed.main(["--model", str(voices / "model"), *(str(voices / f"{name}.wav") for name in "abc"), str(out)])
    return read_vectors(out.with_suffix(".scp"))


def stored(voices: Path, name: str) -> np.ndarray:
    return soundfile.read(voices / f"{name}.wav", dtype="int16")[0]


def test_importing_sv_brings_nothing_heavy() -> None:
    code = "import sys, sv; print(sorted({'torch', 'numpy', 'scipy', 'lhotse'} & sys.modules.keys()), sv.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"[] {sv.__version__}\n"
    assert {"load", "SpeakerModel"} <= set(dir(sv))
    with pytest.raises(AttributeError, match="module 'sv' has no attribute 'laod'"):
        sv.laod  # noqa: B018


def test_paths_and_arrays_of_every_kind_give_the_bits_of_sv_embed(model, voices, expected) -> None:
    for name, vector in expected.items():
        pcm = stored(voices, name)
        scaled = (pcm / 32768).astype(np.float32)
        kinds = [pcm, pcm.astype(np.int32) * 65536, scaled, scaled.astype(np.float64)]
        kinds += [torch.from_numpy(scaled), torch.from_numpy(pcm), scaled[None], torch.from_numpy(scaled)[None]]
        for audio in kinds:
            found = model.embed(audio, rate=16_000)
            assert found.dtype == np.float32 and found.shape == (12,) == (model.dim,)
            np.testing.assert_array_equal(found, vector)
        for path in (voices / f"{name}.wav", str(voices / f"{name}.wav")):
            np.testing.assert_array_equal(model.embed(path), vector)


def test_lists_are_rows_in_their_order_whatever_is_beside_them(model, voices, expected) -> None:
    mixed = [voices / "c.wav", stored(voices, "a"), torch.from_numpy(stored(voices, "b"))]
    found = model.embed(mixed, rate=16_000)
    assert found.shape == (3, 12)
    for row, name in zip(found, "cab"):
        np.testing.assert_array_equal(row, expected[name])
    assert model.embed([]).shape == (0, 12)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_arrays_of_another_rate_are_resampled_as_files_are(model, tmp_path, rate) -> None:
    samples = 0.1 * np.random.default_rng(1).normal(size=2 * rate).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples, rate, subtype="FLOAT")
    np.testing.assert_array_equal(model.embed(samples, rate=rate), model.embed(tmp_path / "x.wav"))


def test_a_channel_is_chosen_or_all_are_averaged(model, voices, tmp_path) -> None:
    both = np.stack([stored(voices, "b"), stored(voices, "c")[: len(stored(voices, "b"))]])
    soundfile.write(tmp_path / "both.wav", both.T, 16_000)
    for channel in (None, 0, 1):
        found = model.embed(both, rate=16_000, channel=channel)
        np.testing.assert_array_equal(found, model.embed(tmp_path / "both.wav", channel=channel))
    np.testing.assert_array_equal(model.embed(both, rate=16_000, channel=0), model.embed(both[0], rate=16_000))
    with pytest.raises(BadAudio, match="it has 2 channels, channel 2 is asked for"):
        model.embed(both, rate=16_000, channel=2)


@pytest.mark.parametrize(
    ("audio", "rate", "error", "reason"),
    [
        (np.zeros(16_000, np.float32), 16_000, BadAudio, "silent: every sample is zero"),
        (np.full(16_000, np.nan, np.float32), 16_000, BadAudio, "NaN or infinite samples"),
        (np.zeros(0, np.float32), 16_000, BadAudio, "empty: no samples"),
        (np.full(16_000, 300.0), 16_000, BadAudio, "samples up to 300, beyond ±1"),
        (np.ones(16_000), None, ValueError, "rate= is needed"),
        (np.ones(16_000), 0, ValueError, "rate must be a whole number of Hz, got 0"),
        (np.ones(16_000), 16_000.5, ValueError, "rate must be a whole number of Hz"),
        (np.ones((16_000, 2)), 16_000, ValueError, r"expected \(samples,\) or \(channels, samples\), got \(16000, 2\)"),
        (np.ones((1, 2, 3)), 16_000, ValueError, "or .channels, samples., got"),
        (np.ones(16_000, np.uint8), 16_000, TypeError, "samples must be int16, int32 or float, got uint8"),
        (np.ones(16_000, np.complex64), 16_000, TypeError, "got complex64"),
        (3.0, 16_000, TypeError, "expected an array, a tensor or a path, got float"),
        (Path("/no/such.wav"), None, BadAudio, "no such file"),
    ],
)
def test_what_is_no_recording_is_said(model, audio, rate, error, reason) -> None:
    with pytest.raises(error, match=reason):
        model.embed(audio, rate=rate)


def test_the_bad_one_of_a_list_is_told(model, voices) -> None:
    with pytest.raises(BadAudio, match="recording 1: silent"):
        model.embed([voices / "a.wav", np.zeros(16_000)], rate=16_000)
    with pytest.raises(BadAudio, match=r"a\.wav: 0\.562 s of audio, less than the 1 s that are asked for"):
        model.embed([voices / "a.wav"], min_speech=1.0)
    with pytest.raises(BadAudio, match="no speech in it"):
        model.embed(voices / "a.wav", vad="silero")


def test_arrays_are_left_as_they_were(model, voices) -> None:
    samples = (stored(voices, "a") / 32768).astype(np.float32)
    before = samples.copy()
    model.embed(samples, rate=16_000)
    np.testing.assert_array_equal(samples, before)


def test_scores_and_verdicts_are_those_of_sv_verify(model, voices, expected, capsys) -> None:
    files = [voices / "b.wav", voices / "c.wav"]
    verify.main(["--model", str(voices / "model"), "--json", *map(str, files)])
    command = json.loads(capsys.readouterr().out)
    found = model.verify(*files)
    assert asdict(found) == {name: command[name] for name in asdict(found)}
    assert model.score(expected["b"], expected["c"]) == found.score
    left, right = (np.float64(expected[name]) for name in "bc")
    assert found.score == pytest.approx(left @ right / np.linalg.norm(left) / np.linalg.norm(right), abs=1e-12)
    for bad in (np.zeros(12), np.ones(5), np.ones((2, 12))):
        with pytest.raises(ValueError):
            model.score(expected["b"], bad)


def test_a_calibration_gives_the_ratio(voices, tmp_path) -> None:
    for name in ("config.json", "checkpoints"):
        (tmp_path / name).symlink_to(voices / "model" / name)
    model = sv.load(tmp_path)
    assert model.sha256 == sha256_of(voices / "model" / "checkpoints" / "best.pt")
    calibration = LogisticCalibration()
    calibration.weights_, calibration.offset_ = np.array([10.0]), -9.0
    place = tmp_path / "calibration" / "cosine.json"
    write_calibration(place, calibration, ["score"], "t" * 64, {"checkpoint_sha256": model.sha256})
    found = model.verify(voices / "b.wav", voices / "b.wav", p_target=0.5)
    assert found.calibrated and found.decision == "same speaker"
    assert (found.llr, found.threshold) == (pytest.approx(1.0), 0.0)
    write_calibration(place, calibration, ["score"], "t" * 64, {"checkpoint_sha256": "f" * 64})
    with pytest.raises(ConfigError, match="made with other weights"):
        model.verify(voices / "b.wav", voices / "b.wav")


def test_onnx_models_load_as_ours_do(voices, export_onnx, tmp_path) -> None:
    path = export_onnx(tmp_path / "powers.onnx", "powers", input='"waveform"', embedding_dim=3)
    model = sv.load(path, runtime="onnxruntime", device="cpu")
    samples = load_speech(voices / "a.wav").samples
    np.testing.assert_allclose(model.embed(samples, rate=16_000)[1], np.mean(np.square(samples)), rtol=1e-4)
    with pytest.raises(ValueError, match="runtime must be onnxruntime, got 'torch'"):
        sv.load(path, runtime="torch")
    with pytest.raises(ValueError, match="computed on the CPU, got device 'cuda'"):
        sv.load(path, device="cuda")


def test_precision_of_a_loaded_model(voices, export_onnx, tmp_path) -> None:
    exact, rounded = (sv.load(voices / "model", precision=name).embed(voices / "c.wav") for name in ("float32", "bf16"))
    assert rounded.dtype == np.float32 and not np.array_equal(exact, rounded)
    assert exact @ rounded > 0.99 * np.linalg.norm(exact) * np.linalg.norm(rounded)
    path = export_onnx(tmp_path / "powers.onnx", "powers", input='"waveform"', embedding_dim=3)
    with pytest.raises(ConfigError, match="computed as it is, not in bf16; leave --precision float32 or auto"):
        sv.load(path, precision="bf16")
    sv.load(path, precision="auto")


def test_what_cannot_be_loaded_is_said(voices) -> None:
    folder = voices / "model"
    with pytest.raises(ValueError, match="precision must be float32, bf16 or auto, got 'bfloat16'"):
        sv.load(folder, precision="bfloat16")
    with pytest.raises(ValueError, match="runtime must be torch, onnxruntime, openvino or mnn, got 'tensorrt'"):
        sv.load(folder, runtime="tensorrt")
    with pytest.raises(ValueError, match="computed on the CPU, got device 'cuda'"):
        sv.load(folder, runtime="openvino", device="cuda")
    with pytest.raises(ValueError, match=r"^device 'nonsense': "):
        sv.load(folder, device="nonsense")
    with pytest.raises(ConfigError, match="neither a file or folder nor a name of sv models list"):
        sv.load("/no/such/model")


def test_the_example_of_the_documentation_runs(voices) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = [test for test in finder.find(api.load, "load", globs={"folder": voices / "model"}) if test.examples]
    failed, tried = doctest.DocTestRunner().run(example)
    assert (failed, tried > 5) == (0, True)


def test_a_file_that_cannot_be_used_is_named(model, tmp_path) -> None:
    for audio in (tmp_path / "a.wav", [tmp_path / "a.wav"]):
        with pytest.raises(BadAudio, match=r"^\S*/a\.wav: no such file$"):
            model.embed(audio)
