"""Weights are found in any container and under any prefix, if all of them are there."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sv.published.containers import sources
from sv.published.convert import CheckpointError, convert_checkpoint
from sv.system.folder import load_model


@pytest.fixture
def weights(weights_of) -> dict[str, Tensor]:
    return {name: value + 1 if value.ndim else value for name, value in weights_of("se_resnet").items()}


def converted(content: object, tmp_path: Path) -> tuple[list[str], dict[str, Tensor]]:
    torch.save(content, tmp_path / "x.pt")
    notes = convert_checkpoint("se_resnet", tmp_path / "x.pt", tmp_path / "exp")
    return notes, load_model(tmp_path / "exp")[2].state_dict()


def under(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in weights.items()}


def nested(weights: dict[str, Tensor]) -> dict:
    tree: dict = {}
    for name, value in weights.items():
        *path, last = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return tree


CONTAINERS = {
    "bare": lambda weights: weights,
    "model": lambda weights: {"model": weights, "epoch": 3},
    "state_dict": lambda weights: {"state_dict": weights, "hyper_parameters": {"lr": 0.1}},
    "model_state_dict": lambda weights: {"model_state_dict": weights, "optimizer_state_dict": {"state": {0: {}}}},
    "net": lambda weights: {"net": weights, "acc": 99.5, "epoch": 3},
    "an entry of another name": lambda weights: {"ema_of_weights": weights, "epoch": 3},
    "configuration beside it": lambda weights: {"model_config": {"C": 16, "sizes": [1, 2]}, "state_dict": weights},
    "our own best.pt": lambda weights: {"model": weights, "criterion": {"weight": torch.zeros(3, 3)}},
    "two deep": lambda weights: {"checkpoint": {"state_dict": weights, "epoch": 3}},
    "nested by modules": nested,
}
PREFIXES = (
    "module.",
    "module.module.",
    "_orig_mod.",
    "module._orig_mod.",
    "__S__.",
    "model.",
    "speaker_encoder.",
    "any.name.",
)


@pytest.mark.parametrize("container", CONTAINERS)
def test_weights_are_found_in_their_container(container: str, weights, tmp_path: Path) -> None:
    notes, found = converted(CONTAINERS[container](weights), tmp_path)
    assert notes == []
    assert all(torch.equal(found[name], value) for name, value in weights.items())


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("container", ["bare", "state_dict"])
def test_a_prefix_of_all_names_is_dropped_and_said(container: str, prefix: str, weights, tmp_path: Path) -> None:
    notes, found = converted(CONTAINERS[container](under(prefix, weights)), tmp_path)
    assert notes == [f"names read without their prefix {prefix}"]
    assert all(torch.equal(found[name], value) for name, value in weights.items())


def test_of_a_larger_network_the_wrapped_part_is_taken_and_the_rest_said(weights, tmp_path: Path) -> None:
    rest = {"vocoder.conv.weight": torch.zeros(3), "__L__.weight": torch.zeros(3)}
    notes, found = converted(under("module.speaker_encoder.", weights) | under("module.", rest), tmp_path)
    assert notes == [
        "names read without their prefix module.speaker_encoder.",
        "left out: 2 tensors without it, e.g. module.vocoder.conv.weight",
    ]
    assert torch.equal(found["fc.weight"], weights["fc.weight"])


def test_a_prefix_is_not_dropped_from_some_of_the_names(weights, tmp_path: Path) -> None:
    mixed = {(f"module.{name}" if name.startswith("layer") else name): value for name, value in weights.items()}
    with pytest.raises(
        CheckpointError, match=r"x\.pt: not a checkpoint of se_resnet: it has no layer1\.0\.conv1\.weight$"
    ):
        converted(mixed, tmp_path)


def test_of_a_wrapped_checkpoint_what_is_missing_is_named_without_the_prefix(weights, tmp_path: Path) -> None:
    del weights["layer2.0.bn1.bias"]
    with pytest.raises(CheckpointError, match=r"not a checkpoint of se_resnet: missing: layer2\.0\.bn1\.bias$"):
        converted({"state_dict": under("module.", weights)}, tmp_path)


def test_of_two_entries_that_fit_the_first_known_one_is_taken(weights, tmp_path: Path) -> None:
    other = {name: value * 2 for name, value in weights.items()}
    _, found = converted({"ema": other, "state_dict": weights}, tmp_path)
    assert torch.equal(found["fc.weight"], weights["fc.weight"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_by_the_tensors_name(value: float, weights, tmp_path: Path) -> None:
    weights["layer3.0.bn2.running_var"][1] = value
    with pytest.raises(CheckpointError, match=r"x\.pt: layer3\.0\.bn2\.running_var holds values that are not finite"):
        converted({"model": under("module.", weights)}, tmp_path)
    assert not (tmp_path / "exp").exists()


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ([1, 2], "list"),
        ({}, "an empty dict"),
        ({"epoch": 3}, "dict whose 'epoch' is int"),
        ({"model": {"fc": [1.0]}}, "dict whose 'model' is dict whose 'fc' is list"),
        ({1: torch.zeros(1)}, "dict whose 1 is Tensor"),
    ],
)
def test_content_without_weights_is_named(content: object, got: str) -> None:
    with pytest.raises(CheckpointError, match=f"expected a mapping from parameter names to tensors, got {got}$"):
        list(sources(content))


def test_containers_that_hold_themselves_or_too_many_others_end() -> None:
    content: dict = {"epoch": 3}
    content["again"] = content
    for _ in range(20):
        content = {str(number): content for number in range(50)}
    with pytest.raises(CheckpointError):
        list(sources(content))
