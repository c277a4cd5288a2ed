"""A checkpoint of proj_2022NC to a model folder that sv.bin.enhance reads."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from sv.bin import convert
from sv.enhancement.apply import enhance
from sv.models.embedding_mlp import PUBLISHED
from sv.published.convert import CheckpointError, convert_checkpoint
from sv.system.folder import load_model


def chirp(count, a=0.37, b=0.5, c=0.1):
    t = np.arange(count)
    return np.sin(a * t**2 + b * t + c)


INPUTS = 0.6 * chirp(8).reshape(2, 4) + 0.8 * chirp(8, 0.11, 0.9, 0.2).reshape(2, 4)
FIRST_ELU = {"v3": (2.035144, 0.075881, 1.450620, -0.723547), "v4": (0.276249, 0.138654, 0.637092, -0.628933)}


def published(version, prefix="__S__."):
    """The state dict of a published network of dimension 4."""
    widths = [4 * multiple for multiple in (1, *PUBLISHED[version]["hidden"], 1)]
    state = {}
    for number, (before, after) in enumerate(pairwise(widths), start=1):
        weight = 1.5 / math.sqrt(before) * chirp(before * after).reshape(after, before)
        for name, value in (("weight", weight), ("bias", 0.1 * chirp(after))):
            state[f"{prefix}l{number}.{name}"] = torch.from_numpy(value).float()
    return state


@pytest.mark.parametrize("version", FIRST_ELU)
@pytest.mark.parametrize("prefix", ["__S__.", "module.__S__."])
def test_a_converted_network_gives_the_published_output(version, prefix, tmp_path, capsys) -> None:
    classifier = {"__L__.softmax.fc.weight": torch.ones(5, 4), "__L__.softmax.fc.bias": torch.ones(5)}
    torch.save(published(version, prefix) | classifier, tmp_path / "x.model")
    convert.main(["my_linear_net", str(tmp_path / "x.model"), str(tmp_path / "exp"), "--activation", "elu"])
    assert f"{len(PUBLISHED[version]['hidden']) + 1} layers, 4 dimensions" in capsys.readouterr().out
    system, frontend, model = load_model(tmp_path / "exp")
    assert (system.features.normalise, system.model.hidden) == (True, PUBLISHED[version]["hidden"])
    frontend.config = type(frontend.config)(normalise=False)  # the golden inputs have other lengths
    assert enhance(frontend, model, INPUTS)[0].tolist() == pytest.approx(FIRST_ELU[version], abs=1e-5)
    kept = torch.load(tmp_path / "exp/checkpoints/best.pt", weights_only=True)["criterion"]
    assert set(kept) == {"softmax.fc.weight", "softmax.fc.bias"}


@pytest.mark.parametrize(
    ("change", "activation", "message"),
    [
        ({}, None, "the file does not tell the network's activation: give --activation elu or relu"),
        ({"__S__.fc.weight": torch.ones(4, 4)}, "elu", "unknown: __S__.fc.weight"),
        ({"__S__.l6.weight": torch.ones(4, 4)}, "elu", r"its layers are \[1, 2, 3, 4, 6\], expected 1, 2"),
        ({"__S__.l4.weight": torch.ones(3, 8)}, "elu", r"widths \[8, 8, 4, 3\] are not multiples of 4"),
        ({"__S__.l2.weight": torch.ones(8, 4)}, "elu", r"shapes: __S__.l2.weight is \(8, 4\), not \(8, 8\)"),
    ],
)
def test_what_does_not_fit_is_named(change, activation, message, tmp_path) -> None:
    state = published("v3") | {"__S__.l4.weight": torch.ones(4, 4), "__S__.l4.bias": torch.ones(4)}
    state["__S__.l3.weight"], state["__S__.l3.bias"] = torch.ones(4, 8), torch.ones(4)
    torch.save(state | change, tmp_path / "x.model")
    with pytest.raises(CheckpointError, match=f"x.model: .*{message}"):
        convert_checkpoint("my_linear_net", tmp_path / "x.model", tmp_path / "exp", {"activation": activation})
    assert not (tmp_path / "exp").exists()
