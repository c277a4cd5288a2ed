"""Starting training from another system's weights."""

import pytest
import torch

from sv.base.config import ConfigError
from sv.bin.train import load_initial
from sv.models import MODELS


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
    load_initial(model, tmp_path / "rawnet1_cnn")
    for name, value in model.state_dict().items():
        source = cnn.state_dict()[name] if name.startswith("trunk.") else before[name]
        torch.testing.assert_close(value, source, rtol=0, atol=0, msg=name)


def test_a_system_without_weights_or_with_other_ones_is_named(tmp_path) -> None:
    model = small("rawnet1", gru_dim=8)
    with pytest.raises(ConfigError, match=r"rawnet1_cnn/checkpoints/best\.pt: not there; train rawnet1_cnn first"):
        load_initial(model, tmp_path / "rawnet1_cnn")
    save(torch.nn.Linear(2, 2), tmp_path / "other")
    with pytest.raises(ConfigError, match=r"best\.pt: none of its weights fits this model"):
        load_initial(model, tmp_path / "other")
