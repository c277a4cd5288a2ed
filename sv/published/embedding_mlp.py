"""Networks of proj_2022NC (MyLinearNet, v2 to v4): names `__S__.l1.weight`, ..., a classifier under `__L__.softmax.fc`."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sv.models.embedding_mlp import ACTIVATIONS, EmbeddingMLPConfig

SYSTEM = "my_linear_net"
NETWORK, LOSS = "__S__.", "__L__."


def read_published(
    state: Mapping[str, Tensor], activation: str | None
) -> tuple[EmbeddingMLPConfig, dict[str, Tensor], dict[str, Tensor]]:
    """The model's config, its weights by our names, and the loss's by theirs.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
    activation : "relu" or "elu"
        Of all layers; the weights do not tell. Nor do they tell whether there was dropout, which only training sees.

    Raises
    ------
    ValueError
        If no activation is given, a name is of no layer, or the layers' widths do not fit each other.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"the file does not tell the network's activation: give --activation {' or '.join(ACTIVATIONS)}"
        )
    state = {name.replace("module.", ""): value for name, value in state.items()}
    criterion = {name.removeprefix(LOSS): value for name, value in state.items() if name.startswith(LOSS)}
    weights, widths = {}, {}
    for name, value in state.items():
        if name.startswith(LOSS):
            continue
        match = re.fullmatch(rf"{re.escape(NETWORK)}l(\d+)\.(weight|bias)", name)
        if match is None:
            raise ValueError(f"not a checkpoint of {SYSTEM}: {name!r} is no layer of it")
        number, kind = int(match[1]), match[2]
        weights[f"layers.{number - 1}.{kind}"] = value
        if kind == "weight":
            widths[number] = tuple(value.shape)
    numbers = sorted(widths)
    if numbers != list(range(1, len(numbers) + 1)) or len(numbers) < 2:
        raise ValueError(f"not a checkpoint of {SYSTEM}: its layers are {numbers}, expected 1, 2, ...")
    dim = widths[1][1]
    outputs = [widths[number][0] for number in numbers]
    if outputs[-1] != dim or any(width % dim for width in outputs):
        raise ValueError(f"not a checkpoint of {SYSTEM}: widths {outputs} are no multiples of {dim}, with {dim} last")
    config: dict[str, Any] = {"embedding_dim": dim, "hidden": tuple(width // dim for width in outputs[:-1])}
    return (
        EmbeddingMLPConfig(**config, activation=activation, activate_output=True, residual=False),
        weights,
        criterion,
    )
