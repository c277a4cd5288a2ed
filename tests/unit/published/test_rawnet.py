"""Published RawNet checkpoints to model folders: the containers, the names, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sv.base.config import to_dict
from sv.published.convert import CheckpointError, convert_checkpoint
from sv.published.rawnet import translate
from sv.system.folder import load_model

SYSTEMS = [  # model, published names, speakers of the classifier
    ("rawnet1_pytorch", "rawnet1_pytorch", 6112),
    ("rawnet2", "rawnet2_original", 6112),
    ("rawnet2", "rawnet2_cleaned", 6112),
    ("rawnet2_modified", "rawnet2_modified", 5994),
    ("rawnet3", "rawnet3", 0),
]
EXTRACT = {
    "rawnet1_pytorch": ("whole", 2188),
    "rawnet2": ("overlapping", 59_049),
    "rawnet2_modified": ("even_padded", 59_050),
    "rawnet3": ("even_padded", 64_000),
}


@pytest.mark.parametrize(("system", "names", "num_speakers"), SYSTEMS)
def test_a_model_folder_of_published_weights_embeds_as_they_do(
    system: str, names: str, num_speakers: int, published_weights, published_waveforms, tmp_path: Path
) -> None:
    weights = published_weights(names)
    torch.save(weights, tmp_path / "published.pt")
    notes = convert_checkpoint(system, tmp_path / "published.pt", tmp_path / "model")
    bypasses = names in ("rawnet1_pytorch", "rawnet2_original")
    assert any("preact_bypass is set" in note for note in notes) == bypasses
    assert any(f"classifier of {num_speakers} speakers" in note for note in notes) == bool(num_speakers)
    record, frontend, model = load_model(tmp_path / "model")
    assert record.num_speakers == num_speakers
    assert (record.extract.scheme, record.extract.segment_samples) == EXTRACT[system]
    published = translate(system, weights)
    assert {"type": system, **to_dict(record.model)} == published.tables["model"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, published.weights["model"][name]), name
    with torch.inference_mode():
        waveforms = published_waveforms(59_050 if system == "rawnet2_modified" else 59_049)
        assert torch.isfinite(model.embed(frontend(waveforms[:1, 0]))).all()


def rawnet3_containers(weights: dict[str, Tensor]) -> dict[str, object]:
    trainer = {f"__S__.{name}": value for name, value in weights.items()} | {"__L__.weight": torch.zeros(5994, 256)}
    return {
        "published": {"model": weights},
        "bare": weights,
        "trainer": trainer,
        "trainer with optimiser": {"model_state_dict": trainer, "epoch": 3, "optimizer_state_dict": {"state": {}}},
        "distributed": {f"module.{name}": value for name, value in trainer.items()},
    }


@pytest.mark.parametrize("container", ["published", "bare", "trainer", "trainer with optimiser", "distributed"])
def test_containers_of_rawnet3(container: str, published_weights, tmp_path: Path) -> None:
    weights = published_weights("rawnet3")
    torch.save(rawnet3_containers(weights)[container], tmp_path / "published.pt")
    convert_checkpoint("rawnet3", tmp_path / "published.pt", tmp_path / "model")
    record, _, model = load_model(tmp_path / "model")
    assert record.num_speakers == (0 if container in ("published", "bare") else 5994)
    assert torch.equal(model.fc6.weight, weights["fc6.weight"])
    assert torch.equal(model.conv1.low_hz, weights["conv1.filterbank.low_hz_"])


def damaged(weights: dict[str, Tensor], **changes: Tensor | None) -> dict[str, Tensor]:
    changed = {**weights, **{name: value for name, value in changes.items() if value is not None}}
    return {name: value for name, value in changed.items() if not (name in changes and changes[name] is None)}


@pytest.mark.parametrize(
    ("system", "names", "changes", "message"),
    [
        ("rawnet2", "rawnet2_original", {"gru.bias_hh_l0": None}, "rawnet2: missing: gru.bias_hh_l0"),
        ("rawnet2", "rawnet2_original", {"extra.bias": torch.zeros(1)}, "rawnet2: unknown: extra.bias"),
        (
            "rawnet2",
            "rawnet2_cleaned",
            {"block3.0.frm.fc.bias": torch.zeros(3)},
            r"rawnet2: shapes: block3.0.frm.fc.bias is \(3,\), not \(256,\)",
        ),
        ("rawnet2", "rawnet2_cleaned", {"ln.gamma": None}, "rawnet2: it has no ln.gamma"),
        ("rawnet2", "rawnet1_pytorch", {}, "rawnet2: it has no ln.gamma"),
        (
            "rawnet1_pytorch",
            "rawnet2_cleaned",
            {},
            "rawnet1_pytorch: missing: block0.1.bn2.bias, .*unknown: block0.0.frm.fc.bias",
        ),
        ("rawnet3", "rawnet3", {"layer1.conv1.weight": None}, "rawnet3: it has no layer1.conv1.weight"),
        ("rawnet3", "rawnet3", {"conv1.filterbank.window_": torch.ones(125)}, "window_ is not the constant"),
        ("rawnet2_modified", "rawnet2_modified", {"layer1.0.conv1.weight": None}, "it has no layer1.0.conv1.weight"),
    ],
)
def test_what_does_not_fit_is_named_as_published(
    system: str, names: str, changes: dict, message: str, published_weights, tmp_path: Path
) -> None:
    path = tmp_path / "published.pt"
    torch.save(damaged(published_weights(names), **changes), path)
    with pytest.raises(CheckpointError, match=f"published.pt: .*{message}"):
        convert_checkpoint(system, path, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_untouched_first_normalisations_show_that_they_were_discarded(published_weights) -> None:
    weights = published_weights("rawnet2_cleaned")
    assert not translate("rawnet2", weights).tables["model"]["preact_bypass"]
    for name, value in weights.items():
        if ".bn1." in name and name.endswith((".weight", ".bias")):
            value.fill_(float(name.endswith(".weight")))
    assert translate("rawnet2", weights).tables["model"]["preact_bypass"]


def test_the_number_of_speakers_is_read_from_the_file(published_weights) -> None:
    weights = published_weights("rawnet2_original")
    weights |= {"fc2_gru.weight": torch.zeros(77, 1024), "fc2_gru.bias": torch.zeros(77)}
    assert translate("rawnet2", weights).tables["num_speakers"] == 77


def test_config_json_is_plain(published_weights, tmp_path: Path) -> None:
    torch.save(published_weights("rawnet2_original"), tmp_path / "published.pt")
    convert_checkpoint("rawnet2", tmp_path / "published.pt", tmp_path / "model")
    record = json.loads((tmp_path / "model" / "config.json").read_text())
    assert record["model"]["preact_bypass"] is True
    assert record["extract"]["step_samples"] == 59_049 - 11_810
    assert record["num_speakers"] == 6112
