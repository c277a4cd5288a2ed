"""Models from elsewhere in a recipe's experiments."""

import json
import sys
from pathlib import Path

import pytest
import torch

from sv.base.config import ConfigError
from sv.base.files import sha256_of
from sv.base.layout import ModelFolder
from sv.bin import models
from sv.embed.linking import link_model, source_lines
from sv.embed.opening import find_source, open_model
from sv.published.checkpoint import CheckpointError
from sv.results.rows import crop_scheme
from sv.system.folder import load_model

POWERS = {"input": '"waveform"', "embedding_dim": 3}
COMMAND = f'command = "{sys.executable} embed.py {{wav_scp}} {{ark}}"\n'


def test_a_model_folder_becomes_links_and_stays_as_it_was(voices, tmp_path) -> None:
    before = sorted(voices.rglob("*"))
    link_model(str(voices / "model"), tmp_path / "exp/model", ["backend", "calibration"])
    source = find_source(tmp_path / "exp/model")
    assert source.sha256() == find_source(voices / "model").sha256()
    assert not (tmp_path / "exp/model/backend").exists()
    open_model(source)
    assert sorted(voices.rglob("*")) == before


def test_parts_that_are_asked_for_are_linked_too(voices, tmp_path) -> None:
    original = tmp_path / "original"
    link_model(str(voices / "model"), original)
    (original / "backend").mkdir()
    link_model(str(original), tmp_path / "with", ["backend"])
    link_model(str(original), tmp_path / "without")
    assert (tmp_path / "with/backend").is_symlink()
    assert not (tmp_path / "without/backend").exists()


def test_a_checkpoint_becomes_a_model_folder(voices, tmp_path) -> None:
    weights = torch.load(voices / "model/checkpoints/best.pt", weights_only=True)
    torch.save(weights, tmp_path / "own.pt")
    link_model(str(tmp_path / "own.pt"), tmp_path / "exp/own")
    system, _, model = load_model(tmp_path / "exp/own")
    assert system.published.source == "own.pt"
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in weights["model"].items())
    (tmp_path / "broken.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"broken\.pt: "):
        link_model(str(tmp_path / "broken.pt"), tmp_path / "exp/broken")
    assert not (tmp_path / "exp/broken/config.json").exists()


def test_an_onnx_file_is_recorded_and_the_folder_stands_for_it(voices, export_onnx, tmp_path) -> None:
    model = export_onnx(tmp_path / "powers.onnx", "powers", **POWERS)
    link_model(str(model), tmp_path / "exp/powers")
    folder = ModelFolder(tmp_path / "exp/powers")
    assert sha256_of(folder.weights) == sha256_of(model) == find_source(folder.path).sha256()
    record = json.loads(folder.config.read_text())
    assert record["published"] == {"system": "onnx", "source": "powers.onnx.toml", "file_sha256": sha256_of(model)}
    assert crop_scheme(record["extract"]).startswith("whole")
    open_model(folder.path)
    link_model(str(model), tmp_path / "exp/powers")  # again


def test_a_program_is_recorded_and_not_run_by_the_folders_name(tmp_path) -> None:
    (tmp_path / "tool.toml").write_text(COMMAND)
    link_model(str(tmp_path / "tool.toml"), tmp_path / "exp/tool")
    folder = ModelFolder(tmp_path / "exp/tool")
    assert sha256_of(folder.weights) == find_source(tmp_path / "tool.toml").sha256()
    assert source_lines(str(tmp_path / "tool.toml")) == ["tool", *[str(tmp_path / "tool.toml")] * 3]
    with pytest.raises(ConfigError):
        open_model(folder.path)


def test_a_system_trained_here_is_not_replaced(voices, tmp_path) -> None:
    (tmp_path / "exp/model").mkdir(parents=True)
    (tmp_path / "exp/model/config.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a system of that name that was made here; give another --exp"):
        link_model(str(voices / "model"), tmp_path / "exp/model")
    assert (tmp_path / "exp/model/config.json").read_text() == "{}"
    with pytest.raises(ConfigError, match="that is the folder to write"):
        link_model(str(voices / "model"), voices / "model")


def test_what_recipes_ask(voices, tmp_path, capsys) -> None:
    models.main(["resolve", str(voices / "model")])
    folder = Path(voices / "model")
    expected = ["model", folder, folder / "config.json", folder / "checkpoints/best.pt"]
    assert capsys.readouterr().out.splitlines() == [str(line) for line in expected]
    models.main(["link", "--with", "backend,", str(voices / "model"), str(tmp_path / "exp")])
    assert (tmp_path / "exp/config.json").is_symlink()
    with pytest.raises(SystemExit, match="nothing: not there; neither a file or folder nor a name of sv models list"):
        models.main(["resolve", str(tmp_path / "nothing")])
