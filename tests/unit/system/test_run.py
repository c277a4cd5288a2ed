"""The identity of a run, and training from another system's weights."""

import pytest
import torch

from sv.base.config import ConfigError
from sv.base.layout import ModelFolder
from sv.models import MODELS
from sv.system.config import parse_system
from sv.system.run import check_same_run, identity_of, load_initial

SYSTEM = {"features": {"type": "log_mel"}, "model": {"type": "exu_net"}}


def small(name: str, **sizes) -> torch.nn.Module:
    config_class, module = MODELS[name]
    return module(config_class(channels=(4, 8), embedding_dim=6, **sizes))


def save(model: torch.nn.Module, folder) -> None:
    (folder / "checkpoints").mkdir(parents=True)
    torch.save({"model": model.state_dict()}, folder / "checkpoints" / "best.pt")


def test_rawnet1_starts_from_the_trunk_of_its_cnn(tmp_path) -> None:
    cnn, model = small("rawnet1_cnn"), small("rawnet1", gru_dim=8)
    torch.nn.init.uniform_(cnn.trunk.bn.running_mean)
    save(cnn, tmp_path / "rawnet1_cnn")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_initial(model, ModelFolder(tmp_path / "rawnet1_cnn"))
    for name, value in model.state_dict().items():
        source = cnn.state_dict()[name] if name.startswith("trunk.") else before[name]
        torch.testing.assert_close(value, source, rtol=0, atol=0, msg=name)


def test_a_system_without_weights_or_with_other_ones_is_named(tmp_path) -> None:
    model = small("rawnet1", gru_dim=8)
    with pytest.raises(ConfigError, match=r"rawnet1_cnn/checkpoints/best\.pt: not there; train rawnet1_cnn first"):
        load_initial(model, ModelFolder(tmp_path / "rawnet1_cnn"))
    save(torch.nn.Linear(2, 2), tmp_path / "other")
    with pytest.raises(ConfigError, match=r"best\.pt, \[train\] initial: only 0 of 52 weights fit"):
        load_initial(model, ModelFolder(tmp_path / "other"))


def identity(data: str = "a", **train) -> dict:
    return identity_of(parse_system({**SYSTEM, "train": train}, "x.toml"), {"training data": data})


def test_a_longer_run_that_is_read_logged_and_averaged_otherwise_is_the_same_run(tmp_path) -> None:
    free = {"num_epochs": 7, "num_workers": 0, "log_interval": 3, "checkpoint_interval": 4, "keep_checkpoints": 5}
    assert identity(**free, average_epochs=2) == identity()
    assert "num_epochs" not in identity()["system"]["train"]
    check_same_run(identity(), identity(**free), tmp_path)


def test_other_settings_and_other_data_are_another_run_and_named(tmp_path) -> None:
    message = (
        f"{tmp_path} holds a run with other settings: system.train.lr was 0.001, is 0.5; training data was 'a', is 'b'. "
        "Train into another --exp-dir, or remove it"
    )
    with pytest.raises(ConfigError) as caught:
        check_same_run(identity(), identity("b", lr=0.5), tmp_path)
    assert str(caught.value) == message


def test_an_option_that_older_runs_do_not_tell_is_of_the_identity_only_where_it_says_something_else(tmp_path) -> None:
    older = identity_of(parse_system({**SYSTEM, "loss": {"type": "pairs"}}, "x.toml"), {})
    assert "tail" not in older["system"]["loss"] and older["system"]["loss"]["margin"] == 0.2
    same = {"type": "pairs", "tail": "continuous"}
    assert identity_of(parse_system({**SYSTEM, "loss": same}, "x.toml"), {}) == older
    newer = identity_of(parse_system({**SYSTEM, "loss": {"type": "pairs", "tail": "published"}}, "x.toml"), {})
    with pytest.raises(ConfigError, match=r"system\.loss\.tail was None, is 'published'"):
        check_same_run(older, newer, tmp_path)
