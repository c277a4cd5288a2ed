"""Every kind of model through the one door, and the clear line for each that is none."""

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sv.base.config import ConfigError
from sv.base.files import sha256_of
from sv.bin import embed, extract, verify
from sv.data.audio import load_speech
from sv.embed.opening import find_source, open_model
from sv.features.fbank import Fbank, FbankConfig
from sv.kaldi import iter_matrices, read_vectors, write_data_dir
from sv.published.checkpoint import CheckpointError
from sv.published.convert import SYSTEMS
from sv.published.registry import read_models

BANDS = {"input": '"fbank"', "embedding_dim": 4, "fbank": "{ num_mel_bins = 4 }"}
POWERS = {"input": '"waveform"', "embedding_dim": 3}


def vectors_of(model: object, voices: Path, out: Path, names: str = "abc") -> dict[str, np.ndarray]:
    files = [str(voices / f"{name}.wav") for name in names]
    embed.main(["--model", str(model), *files, str(out / "out.ark")])
    return read_vectors(out / "out.scp")


def samples_of(voices: Path, name: str) -> torch.Tensor:
    return torch.from_numpy(load_speech(voices / f"{name}.wav").samples)


def test_an_onnx_model_of_waveforms(voices, export_onnx, tmp_path) -> None:
    model = export_onnx(tmp_path / "powers.onnx", "powers", scale=100.0, **POWERS)
    found = vectors_of(model, voices, tmp_path)
    for name, vector in found.items():
        samples = 100 * samples_of(voices, name)
        expected = [(samples**power).mean() for power in (1, 2, 3)]
        np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("subtract_mean", ["true", "false"])
def test_an_onnx_model_of_kaldis_features(voices, export_onnx, tmp_path, subtract_mean) -> None:
    model = export_onnx(tmp_path / "bands.onnx", "bands", scale=32768.0, subtract_mean=subtract_mean, **BANDS)
    found = vectors_of(model, voices, tmp_path)
    for name, vector in found.items():
        features = Fbank(FbankConfig(num_mel_bins=4))(samples_of(voices, name)[None])[0]
        expected = features.mean(dim=1)
        if subtract_mean == "true":
            np.testing.assert_allclose(vector, 0, atol=1e-4)
        else:
            np.testing.assert_allclose(vector, expected, rtol=1e-5)


def test_the_scale_of_features_is_a_constant_of_their_logarithm(voices, export_onnx, tmp_path) -> None:
    both = []
    for number, scale in enumerate((1.0, 32768.0)):
        folder = tmp_path / str(number)
        folder.mkdir()
        model = export_onnx(folder / "bands.onnx", "bands", scale=scale, **BANDS)
        both.append(vectors_of(model, voices, folder)["c"])
    np.testing.assert_allclose(both[1] - both[0], 2 * np.log(32768), rtol=1e-4)


def test_segments_of_an_onnx_model_are_cut_as_the_description_says(voices, export_onnx, tmp_path) -> None:
    cut = '{ scheme = "consecutive", segment_samples = 10000, batch_size = 2 }'
    model = export_onnx(tmp_path / "powers.onnx", "powers", extract=cut, **POWERS)
    samples = samples_of(voices, "b")
    parts = [samples[:10_000], samples[10_000:20_000], samples[11_000:]]
    expected = np.mean([[float((part**power).mean()) for power in (1, 2, 3)] for part in parts], axis=0)
    np.testing.assert_allclose(vectors_of(model, voices, tmp_path)["b"], expected, rtol=1e-4, atol=1e-8)


def test_an_onnx_model_of_a_fixed_batch_and_length(voices, export_onnx, tmp_path) -> None:
    cut = '{ scheme = "consecutive", segment_samples = 400, batch_size = 2 }'
    model = export_onnx(tmp_path / "powers.onnx", "powers", fixed=(2, 400), extract=cut, **POWERS)
    assert vectors_of(model, voices, tmp_path)["a"].shape == (3,)
    model = export_onnx(tmp_path / "powers.onnx", "powers", fixed=(2, 400), **POWERS)
    with pytest.raises(ConfigError, match=r'reads batches of 2, that of scheme "whole" is 1'):
        open_model(model)


def test_a_folder_and_a_description_stand_for_the_onnx_file(voices, export_onnx, tmp_path) -> None:
    folder = tmp_path / "foreign"
    folder.mkdir()
    export_onnx(folder / "net.onnx", "powers")
    (folder / "model.toml").write_text('file = "net.onnx"\ninput = "waveform"\nembedding_dim = 3\n')
    sources = [find_source(place) for place in (folder, folder / "net.onnx", folder / "model.toml")]
    assert {source.weights for source in sources} == {folder / "net.onnx"}
    assert len({source.sha256() for source in sources}) == 1
    vectors = [vectors_of(source, voices, tmp_path) for source in (folder, folder / "net.onnx")]
    np.testing.assert_array_equal(vectors[0]["a"], vectors[1]["a"])


@pytest.mark.parametrize(
    ("network", "changes", "reason"),
    [
        ("powers", BANDS, r"its input is tensor\(float\) of 2 axes .*; fbank is tensor\(float\) of 3"),
        ("powers", POWERS | {"embedding_dim": 7}, r"its output y has the shape \(1, 3\), expected \(1, 7\)"),
        ("powers", POWERS | {"output": '"z"'}, "it has no output 'z'; there are y"),
        ("powers", POWERS | {"outptu": '"y"'}, r"onnx\.toml: unknown key 'outptu'; did you mean 'output'"),
        ("powers", {"input": '"waveform"'}, r"onnx\.toml: \[top level\] .*embedding_dim"),
        ("powers", POWERS | {"input": '"mfcc"'}, "'input' must be one of 'waveform', 'fbank', got 'mfcc'"),
        ("powers", POWERS | {"scale": 0.0}, "scale must be positive"),
        ("powers", POWERS | {"subtract_mean": "true"}, "subtract_mean is of mel bins"),
        ("powers", POWERS | {"file": '"other.onnx"'}, "describes other.onnx, not net.onnx"),
        ("bands", POWERS, r"its output y has the shape \(1, 32000\), expected \(1, 3\)"),
        ("bands", BANDS | {"fbank": "{ num_mel_bins = 2 }"}, "its output y has the shape"),
        (
            "of_the_batch",
            POWERS | {"extract": '{ scheme = "consecutive", segment_samples = 400 }'},
            "changes by .* of its length with the others of its batch",
        ),
    ],
)
def test_an_onnx_model_that_does_not_fit_its_description(export_onnx, tmp_path, network, changes, reason) -> None:
    model = export_onnx(tmp_path / "net.onnx", network, **changes)
    with pytest.raises(ConfigError, match=reason) as caught:
        open_model(model)
    assert "\n" not in str(caught.value) and "net.onnx" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"no protobuf at all", "not an ONNX model that onnxruntime reads"),
    ],
)
def test_a_file_that_is_no_onnx_model(tmp_path, content, reason) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ConfigError, match=r"no description; write net\.onnx\.toml beside it, .*embedding_dim = 192"):
        find_source(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.toml").write_text('input = "waveform"\nembedding_dim = 3\n')
    with pytest.raises(ConfigError, match=reason) as caught:
        open_model(tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)


def test_without_onnxruntime_the_package_is_named(export_onnx, tmp_path, monkeypatch) -> None:
    model = export_onnx(tmp_path / "net.onnx", "powers", **POWERS)
    monkeypatch.setattr("sv.base.packages.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"net\.onnx: an ONNX model needs onnxruntime: pip install '[\w-]+\[onnx\]'"):
        open_model(model)


PROGRAM = """
import sys, wave
import numpy as np
scp, ark = sys.argv[1:3]
mode = sys.argv[3] if len(sys.argv) > 3 else ""
if mode == "fail":
    sys.exit("no licence for this machine")
with open(ark, "w") as out:
    for number, line in enumerate(open(scp)):
        key, path = line.split()
        with wave.open(path) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        values = [len(samples), samples[0], samples[-1]][: 2 if mode == "ragged" and number else 3]
        if mode == "nan":
            values[0] = "nan"
        if mode != "forget" or number:
            print(key, " [ " + " ".join(map(str, values)) + " ]", file=out)
"""


@pytest.fixture
def program(tmp_path) -> Path:
    """The description of a program whose embedding is the number of samples, the first and the last sample."""
    (tmp_path / "tool.py").write_text(PROGRAM)
    return write_program(tmp_path, "")


def write_program(folder: Path, mode: str, **more: object) -> Path:
    path = folder / "tool.toml"
    command = f"'{sys.executable}' tool.py {{wav_scp}} {{ark}} {mode}"  # beside the description
    path.write_text(f'command = "{command}"\n' + "".join(f"{key} = {value}\n" for key, value in more.items()))
    return path


def test_a_program_is_a_model(voices, program, tmp_path) -> None:
    found = vectors_of(program, voices, tmp_path)
    for name, vector in found.items():
        stored = (32768 * samples_of(voices, name)).tolist()
        assert vector.tolist() == [len(stored), stored[0], stored[-1]]
    verify.main(["--model", str(program), str(voices / "a.wav"), str(voices / "b.wav")])


def test_foreign_models_are_what_stage_5_embeds_with(voices, program, export_onnx, tmp_path) -> None:
    onnx = export_onnx(tmp_path / "powers.onnx", "powers", **POWERS)
    utts = {f"s-{name}": name for name in "abc"}
    write_data_dir(
        tmp_path / "data" / "test",
        wav_scp={utt: str(voices / f"{name}.wav") for utt, name in utts.items()},
        utt2spk=dict.fromkeys(utts, "s"),
        utt2dur={utt: len(samples_of(voices, name)) / 16_000 for utt, name in utts.items()},
    )
    for model in (program, onnx):
        out = tmp_path / model.stem
        extract.main(["--model", str(model), "--out", str(out), str(tmp_path / "data" / "test")])
        staged, direct = read_vectors(out / "test" / "xvector.1.scp"), vectors_of(model, voices, tmp_path)
        for utt, name in utts.items():
            np.testing.assert_array_equal(staged[utt], direct[name])
        assert {matrix.shape[0] for _, matrix in iter_matrices(out / "test" / "segments.1.scp")} == {1}


@pytest.mark.parametrize(
    ("mode", "more", "reason"),
    [
        ("fail", {}, "failed with exit code 1: no licence for this machine"),
        ("forget", {}, "wrote no vector for 1 recordings"),
        ("ragged", {}, "wrote arrays of shape"),
        ("nan", {}, r"no recording has a finite embedding; is .*tool\.toml a model that works"),
        ("", {"embedding_dim": 5}, r"wrote arrays of shape \[\(3,\)\], expected one vector each"),
    ],
)
def test_a_program_that_does_not_do_its_work(voices, program, tmp_path, fails_in_one, mode, more, reason) -> None:
    model = write_program(tmp_path, mode, **more)
    files = [voices / "a.wav", voices / "b.wav"]
    fails_in_one(reason, embed.main, "--model", model, *files, tmp_path / "out.ark")
    assert not (tmp_path / "out.ark").exists()


@pytest.fixture
def fails_in_one():
    def run(reason: str, main, *arguments: object) -> None:
        with pytest.raises(SystemExit, match=reason) as exit_:
            main([str(argument) for argument in arguments])
        assert "\n" not in exit_.value.code

    return run


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('command = "tool {wav_scp}"', r"command must contain \{ark\}"),
        ('command = "tool \'{wav_scp} {ark}"', "No closing quotation"),
        ('command = "/no/such/tool {wav_scp} {ark}"', "cannot run /no/such/tool: No such file"),
        ('command = "true {wav_scp} {ark}"', r"the command wrote no archive to \{ark\}"),
        ('command = "cp {wav_scp} {ark}"', "the command wrote no archive of Kaldi's"),
    ],
)
def test_a_command_that_cannot_be(voices, tmp_path, fails_in_one, line, reason) -> None:
    (tmp_path / "tool.toml").write_text(line + "\n")
    fails_in_one(reason, embed.main, "--model", tmp_path / "tool.toml", voices / "a.wav", tmp_path / "out.ark")


@pytest.mark.parametrize("content", ["[model]\ntype = 'exu_net'\n", "[1, 2]", '{"features": {}}'])
def test_a_configuration_is_no_description(tmp_path, content) -> None:
    path = tmp_path / ("x.json" if content[0] in "{[" and "model" not in content else "x.toml")
    path.write_text(content)
    with pytest.raises(ConfigError, match="not a description of a model; of a system of ours, give the model folder"):
        find_source(path)


def test_a_folder_does_not_run_programs(voices, program, tmp_path) -> None:
    program.rename(tmp_path / "model.toml")
    with pytest.raises(ConfigError, match="it runs a program; if you trust it, give the file itself"):
        find_source(tmp_path)
    assert find_source(tmp_path / "model.toml").kind == "command"


def test_no_shell_sees_a_command(voices, tmp_path, fails_in_one) -> None:
    (tmp_path / "tool.toml").write_text('command = "true {wav_scp} {ark}; touch ran $(touch ran)"\n')
    fails_in_one(
        "wrote no archive", embed.main, "--model", tmp_path / "tool.toml", voices / "a.wav", tmp_path / "o.ark"
    )
    assert not (tmp_path / "ran").exists()


def test_a_published_checkpoint_is_recognised_by_its_weights(published_weights, voices, tmp_path) -> None:
    torch.save({"model": published_weights("rawnet3")}, tmp_path / "model.pt")
    assert open_model(tmp_path / "model.pt").system.model_type == "rawnet3"
    source = find_source(tmp_path / "model.pt", system="vggvox")
    with pytest.raises(CheckpointError, match="not a checkpoint of vggvox"):
        open_model(source)


def test_of_several_systems_the_one_is_taken_that_the_hash_says(published_weights, tmp_path, monkeypatch) -> None:
    torch.save({"model": published_weights("rawnet3")}, tmp_path / "model.pt")
    readers = dict.fromkeys(("rawnet3", "rawnet4"), SYSTEMS["rawnet3"])
    monkeypatch.setattr("sv.published.recognise.SYSTEMS", readers)
    monkeypatch.setattr("sv.published.convert.SYSTEMS", readers)
    with pytest.raises(CheckpointError, match="a checkpoint that fits rawnet3, rawnet4; sv convert SYSTEM"):
        open_model(tmp_path / "model.pt")
    known = replace(read_models()["rawnet3"], sha256=sha256_of(tmp_path / "model.pt"))
    monkeypatch.setattr("sv.published.registry.read_models", lambda: {"rawnet3": known})
    assert open_model(tmp_path / "model.pt").system.name == "rawnet3"


def test_a_checkpoint_that_is_none_or_ours(voices, tmp_path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=r"odd\.pt: a checkpoint that fits no system as it is"):
        open_model(tmp_path / "odd.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointError, match=r"text\.pt: not a PyTorch checkpoint"):
        open_model(tmp_path / "text.pt")
    with pytest.raises(ConfigError, match=f"weights of a model folder; give the folder, {voices}/model"):
        find_source(voices / "model" / "checkpoints" / "best.pt")


def test_a_name_is_looked_up_in_the_cache_unless_there_is_such_a_path(voices, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^rawnet3: not fetched yet; sv models get rawnet3$"):
        find_source("rawnet3")
    folder = tmp_path / "sv" / "models" / "rawnet3"
    folder.parent.mkdir(parents=True)
    folder.symlink_to(voices / "model")
    with pytest.raises(ConfigError, match="not fetched yet"):
        find_source("rawnet3")
    folder.unlink()
    folder.mkdir()
    for name in ("config.json", "checkpoints"):
        (folder / name).symlink_to(voices / "model" / name)
    (folder / "origin.json").write_text(json.dumps({"name": "rawnet3"}))
    assert find_source("rawnet3").path == folder
    (tmp_path / "rawnet3").symlink_to(voices / "model")
    assert find_source("rawnet3").path == Path("rawnet3")
    with pytest.raises(ConfigError, match=r"neither a file or folder nor a name of sv models list"):
        find_source("rawnet33")
    assert stat.S_ISDIR((tmp_path / "sv").stat().st_mode)
