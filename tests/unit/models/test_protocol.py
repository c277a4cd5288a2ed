import pytest
import torch

from sv.base.config import ConfigError, from_dict, to_dict
from sv.features import FEATURES
from sv.models import MODELS
from sv.models.network import Network
from sv.models.protocol import Model, ModelConfig

SMALL = {"rawnet1": {"gru_dim": 4}, "rawnet1_pytorch": {"gru_dim": 4}, "rawnet2": {"gru_dim": 4}}


@pytest.mark.parametrize("name", MODELS)
def test_every_network_keeps_the_contract(name: str) -> None:
    config_class, module = MODELS[name]
    config = config_class(**SMALL.get(name, {}))
    model = module(config)
    assert isinstance(config, ModelConfig) and isinstance(model, Model)
    assert model.config is config
    assert config.embedding_dim > 0
    assert config.num_mel_bins is None or config.num_mel_bins > 0


@pytest.mark.parametrize("config_class", [pair[0] for table in (MODELS, FEATURES) for pair in table.values()])
def test_answers_that_are_not_options_stay_out_of_config_json(config_class: type) -> None:
    table = to_dict(config_class())
    assert from_dict(config_class, table, "config.json") == config_class()
    if config_class().num_mel_bins is None:
        assert "num_mel_bins" not in table
        with pytest.raises(ConfigError, match="unknown key 'num_mel_bins'"):
            from_dict(config_class, {**table, "num_mel_bins": 64}, "config.json")


def test_a_network_without_an_embedding_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Network()(torch.zeros(1, 2, 3))
