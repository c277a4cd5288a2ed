"""Reading, loading and writing checkpoints, whatever system they are of."""

import collections
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sv.published.checkpoint import (
    CheckpointError,
    Converted,
    load,
    load_strictly,
    write_model_folder,
)

STATE = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2)}


def saved(tmp_path: Path, content: object, **options: bool) -> Path:
    torch.save(content, tmp_path / "x.pt", **options)
    return tmp_path / "x.pt"


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_and_numpys_numbers_are_read(zipped: bool, tmp_path: Path) -> None:
    state = {"model": STATE, "epoch": 3, "schedule": {"eta_max": np.float64(1e-2), "step": np.int64(7)}}
    found = load(saved(tmp_path, state, _use_new_zipfile_serialization=zipped))
    assert (found["epoch"], found["schedule"]) == (3, {"eta_max": 1e-2, "step": 7})
    assert torch.equal(found["model"]["fc.weight"], STATE["fc.weight"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html>log in</html>", "a web page, not a checkpoint; download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS, not a checkpoint"),
        (b"no checkpoint", "not a PyTorch checkpoint of tensors only: damaged, cut short or of another kind"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{message}"):
        load(tmp_path / "x.pt")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_files_cut_short_are_refused(zipped: bool, share: float, tmp_path: Path) -> None:
    path = saved(tmp_path, {"weight": torch.zeros(100, 100)}, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="cut short"):
        load(path)


def test_code_is_not_run_and_what_asked_for_it_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": collections.deque([1])})
    with pytest.raises(CheckpointError, match=r"tensors only: it asks for collections\.deque, which is not read$"):
        load(path)


def test_a_file_that_is_not_there_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"x\.pt"):
        load(tmp_path / "x.pt")


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_every_weight_is_loaded_by_its_published_name() -> None:
    names = {name: f"theirs.{name}" for name in network().state_dict()}
    state = {names[name]: torch.rand_like(v) if v.dim() else v + 5 for name, v in network().state_dict().items()}
    for name, value in load_strictly("net", network(), state, names).state_dict().items():
        assert torch.equal(value, state[names[name]]), name


def test_the_counter_of_batches_may_lack() -> None:
    state = {name: value for name, value in network().state_dict().items() if "num_batches" not in name}
    loaded = load_strictly("net", network(), state).state_dict()
    assert loaded["1.num_batches_tracked"] == 0 and torch.equal(loaded["0.weight"], state["0.weight"])


def test_what_does_not_fit_is_named_at_once() -> None:
    state = network().state_dict() | {"1.weight": torch.ones(3)} | {f"more.{n}": torch.ones(1) for n in range(5)}
    del state["0.bias"], state["1.running_var"]
    with pytest.raises(CheckpointError) as caught:
        load_strictly("net", network(), state)
    assert str(caught.value) == (
        "not a checkpoint of net: missing: 0.bias, 1.running_var; "
        "unknown: more.0, more.1, more.2, more.3 ...; shapes: 1.weight is (3,), not (2,)"
    )


def test_a_model_folder_holds_config_and_weights(tmp_path: Path) -> None:
    found = Converted(tables={"model": {"type": "x", "sizes": (1, 2)}}, weights={"model": STATE})
    write_model_folder(tmp_path / "new" / "exp", "theirs", found, saved(tmp_path, STATE))
    config = json.loads((tmp_path / "new/exp/config.json").read_text())
    sha256 = hashlib.sha256((tmp_path / "x.pt").read_bytes()).hexdigest()
    assert config == {
        "name": "theirs",
        "published": {"system": "theirs", "source": "x.pt", "file_sha256": sha256},
        "model": {"type": "x", "sizes": [1, 2]},
    }
    weights = torch.load(tmp_path / "new/exp/checkpoints/best.pt", weights_only=True)
    assert torch.equal(weights["model"]["fc.weight"], STATE["fc.weight"])
