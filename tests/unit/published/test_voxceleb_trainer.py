"""voxceleb_trainer's checkpoints, of all shapes, to model folders."""

import json
from pathlib import Path

import pytest
import torch
import torchaudio

from sv.bin.convert import main
from sv.features import LogMel, LogMelConfig
from sv.published.convert import CheckpointError, convert_checkpoint
from sv.system.folder import load_model

SYSTEMS = ("resnet_se34l", "resnet_se34v2", "vggvox")
SCALE = {"input_scale": 1.0}


def saved(tmp_path: Path, content: object) -> Path:
    torch.save(content, tmp_path / "published.model")
    return tmp_path / "published.model"


@pytest.mark.parametrize(("system", "entries"), [("resnet_se34l", 287), ("resnet_se34v2", 295), ("vggvox", 49)])
def test_published_sizes_have_the_published_number_of_entries(voxceleb_trainer, system: str, entries: int) -> None:
    full = {"channels": (16, 32, 64, 128), "blocks": (3, 4, 6, 3), "embedding_dim": 512}
    _, state = voxceleb_trainer(system, **({} if system == "vggvox" else full))
    assert len(state) == entries


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("shape", ["bare", "parallel", "training", "model"])
def test_every_shape_gives_the_same_embedding(voxceleb_trainer, system: str, shape: str, tmp_path: Path) -> None:
    model, state = voxceleb_trainer(system)
    content = {
        "bare": state,
        "parallel": {name.replace("__S__.", "module.__S__."): value for name, value in state.items()},
        "training": {"model_state_dict": state, "optimizer_state_dict": {"state": {}}, "epoch": 3},
        "model": {"model": {name.removeprefix("__S__."): value for name, value in state.items()}},
    }[shape]
    convert_checkpoint(system, saved(tmp_path, content), tmp_path / "out", {} if shape == "training" else SCALE)
    record, frontend, converted = load_model(tmp_path / "out")
    assert record.features == LogMelConfig(
        num_mel_bins=model.config.num_mel_bins,
        n_fft=512,
        pre_emphasis=0.97 if system == "resnet_se34v2" else 0.0,
        keep_length=True,
    )
    assert record.model == model.config
    assert (record.extract.segment_samples, record.extract.scheme, record.extract.num_segments) == (
        64_240,
        "even_padded",
        10,
    )
    waves = 0.1 * torch.randn(2, 16_000)
    torch.testing.assert_close(converted.embed(frontend(waves)), model.embed(LogMel(record.features)(waves)))


@pytest.mark.parametrize(
    ("window", "given", "scale"),
    [(torch.hann_window, None, 32768.0), (torch.hann_window, 1.0, 1.0), (torch.hamming_window, 32768.0, 32768.0)],
)
def test_window_and_input_scale_are_stored(voxceleb_trainer, window, given, scale, tmp_path: Path, capsys) -> None:
    _, state = voxceleb_trainer("resnet_se34l", window)
    arguments = ["resnet_se34l", str(saved(tmp_path, state)), str(tmp_path / "out")]
    main(arguments + (["--input-scale", str(given)] if given else []))
    features = json.loads((tmp_path / "out/config.json").read_text())["features"]
    name = "hann" if window is torch.hann_window else "hamming"
    assert (features["window"], features["input_scale"]) == (name, scale)
    assert capsys.readouterr().out.startswith(f"40 mels, {name} window, audio times {scale:g}\nloss: none")


def test_the_loss_is_kept_beside_the_model(voxceleb_trainer, tmp_path: Path, capsys) -> None:
    _, state = voxceleb_trainer("resnet_se34v2")
    weight = torch.randn(5, 12)
    state |= {"__L__.softmax.fc.weight": weight, "__L__.angleproto.w": torch.tensor(9.0)}
    main(["resnet_se34v2", str(saved(tmp_path, state)), str(tmp_path / "out"), "--input-scale", "1"])
    kept = torch.load(tmp_path / "out/checkpoints/best.pt", weights_only=True)["criterion"]
    assert kept.keys() == {"softmax.fc.weight", "angleproto.w"}
    torch.testing.assert_close(kept["softmax.fc.weight"], weight)
    assert "loss: softmax.fc.weight, angleproto.w" in capsys.readouterr().out


def test_mels_of_the_light_network_are_those_of_its_front_end(voxceleb_trainer, tmp_path: Path) -> None:
    _, state = voxceleb_trainer("resnet_se34l", num_mel_bins=64)
    convert_checkpoint("resnet_se34l", saved(tmp_path, state), tmp_path / "out", SCALE)
    record = load_model(tmp_path / "out")[0]
    assert record.model.num_mel_bins == record.features.num_mel_bins == 64


@pytest.mark.parametrize("system", ["resnet_se34l", "resnet_se34v2"])
@pytest.mark.parametrize("pooling", ["mean", "statistics"])
def test_pooling_is_read_from_shapes(voxceleb_trainer, system: str, pooling: str, tmp_path: Path) -> None:
    model, state = voxceleb_trainer(system, pooling=pooling)
    convert_checkpoint(system, saved(tmp_path, state), tmp_path / "out", SCALE)
    assert load_model(tmp_path / "out")[0].model == model.config


def damaged(voxceleb_trainer, kind: str) -> tuple[str, object]:
    system = "resnet_se34l"
    _, state = voxceleb_trainer(system)
    if kind == "other network":
        system = "resnet_se34v2"
    elif kind == "missing":
        del state["__S__.layer2.1.bn1.bias"]
    elif kind == "additional":
        state["__S__.layer2.1.bn3.bias"] = torch.zeros(8)
    elif kind == "stray":
        state["optimizer"] = torch.zeros(8)
    elif kind == "window":
        state["__S__.torchfb.spectrogram.window"] = torch.ones(400)
    elif kind == "mel matrix":
        state["__S__.torchfb.mel_scale.fb"] = state["__S__.torchfb.mel_scale.fb"].roll(1, 0)
    elif kind == "no front end":
        del state["__S__.torchfb.mel_scale.fb"]
    elif kind == "extra front end":
        state["__S__.torchfb.spectrogram.other"] = torch.ones(1)
    elif kind == "other mels":
        system, (_, state) = "resnet_se34v2", voxceleb_trainer("resnet_se34v2")
        mels = torchaudio.transforms.MelScale(n_mels=40, n_stft=257)
        state["__S__.torchfb.1.mel_scale.fb"] = mels.fb
    elif kind == "list":
        return system, [1, 2]
    elif kind == "no tensors":
        return system, {"model_state_dict": {"epoch": 3}}
    elif kind == "vggvox mean":
        system, (_, state) = "vggvox", voxceleb_trainer("vggvox", pooling="mean")
    return system, state


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("other network", "not a checkpoint of resnet_se34v2: it has no attention.0.weight"),
        ("missing", "not a checkpoint of resnet_se34l: missing: layer2.1.bn1.bias"),
        ("additional", "not a checkpoint of resnet_se34l: unknown: layer2.1.bn3.bias"),
        ("stray", r"1 names are neither of the network nor of the loss, e.g. \['optimizer'\]"),
        ("window", r"its window, \(400,\), is neither Hamming nor Hann"),
        ("mel matrix", r"its mel matrix \(257, 40\) is not that of 40 HTK filters"),
        ("no front end", "not a checkpoint of resnet_se34l: it has no torchfb.mel_scale.fb"),
        ("other mels", "not a checkpoint of resnet_se34v2: it reads 32 mels, its front end makes 40"),
        ("extra front end", r"the front end holds more than a known one: \['spectrogram.other'\]"),
        ("list", "expected a mapping from parameter names to tensors, got list"),
        (
            "no tensors",
            "expected a mapping from parameter names to tensors, got dict whose 'model_state_dict' is dict whose 'epoch' is int",
        ),
        ("vggvox mean", "pooled by mean or by maximum"),
        ("no scale", "the file does not tell .*: give --input-scale 32768 .* or 1"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_written(
    voxceleb_trainer, kind: str, message: str, tmp_path: Path
) -> None:
    system, content = damaged(voxceleb_trainer, kind)
    with pytest.raises(CheckpointError, match=f"published.model: {message}"):
        convert_checkpoint(system, saved(tmp_path, content), tmp_path / "out", {} if kind == "no scale" else SCALE)
    assert not (tmp_path / "out").exists()
