"""Networks of proj_2022NC (MyLinearNet, v2 to v4): names `__S__.l1.weight`, ..., a classifier under `__L__.softmax.fc`."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sv.base.config import to_dict
from sv.models.embedding_mlp import ACTIVATIONS, EmbeddingMLP, EmbeddingMLPConfig
from sv.published.checkpoint import CheckpointError, Converted, Option, Reader, load_strictly
from sv.published.containers import Source

SYSTEM = "my_linear_net"
NETWORK, LOSS = "__S__.", "__L__."


def translate_my_linear_net(source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate a network and the loss beside it.

    The weights do not tell whether there was dropout, which only training sees.

    Raises
    ------
    CheckpointError
        If no activation is given, or the layers' widths do not fit each other.
    """
    activation = options["activation"]
    if activation is None:
        raise CheckpointError(
            f"the file does not tell the network's activation: give --activation {' or '.join(ACTIVATIONS)}"
        )
    state = {name.replace("module.", ""): value for name, value in source.weights.items()}
    criterion = {name.removeprefix(LOSS): value for name, value in state.items() if name.startswith(LOSS)}
    network = {name: value for name, value in state.items() if not name.startswith(LOSS)}
    config = mlp_config(network, activation)
    tables = {
        "features": {"type": "embedding", "normalise": True},
        "model": {"type": "embedding_mlp", **to_dict(config)},
        "loss": {"type": "enhancement"},
    }
    model = EmbeddingMLP(config)
    names = {name: published_name(name) for name in model.state_dict()}
    loaded = load_strictly(SYSTEM, model, network, names).state_dict()
    notes = [f"{len(config.hidden) + 1} layers, {config.embedding_dim} dimensions; for sv.bin.enhance"]
    return Converted(tables=tables, weights={"model": loaded, "criterion": criterion}, notes=notes)


def published_name(name: str) -> str:
    """Rename one of our parameters, `layers.0.weight`, to the published one, `__S__.l1.weight`."""
    _, number, kind = name.split(".")
    return f"{NETWORK}l{int(number) + 1}.{kind}"


def mlp_config(network: Mapping[str, Tensor], activation: str) -> EmbeddingMLPConfig:
    """The model config that the widths imply; raises CheckpointError if they do not fit each other."""
    found = {name: re.fullmatch(rf"{re.escape(NETWORK)}l(\d+)\.weight", name) for name in network}
    shapes = {int(match[1]): network[name].shape for name, match in found.items() if match}
    numbers = sorted(shapes)
    if numbers != list(range(1, len(numbers) + 1)) or len(numbers) < 2:
        raise CheckpointError(f"not a checkpoint of {SYSTEM}: its layers are {numbers}, expected 1, 2, ...")
    dim = shapes[1][1]
    outputs = [shapes[number][0] for number in numbers]
    if outputs[-1] != dim or any(width % dim for width in outputs):
        raise CheckpointError(
            f"not a checkpoint of {SYSTEM}: widths {outputs} are not multiples of {dim}, with {dim} last"
        )
    return EmbeddingMLPConfig(
        embedding_dim=dim,
        hidden=tuple(width // dim for width in outputs[:-1]),
        activation=activation,
        activate_output=True,
        residual=False,
    )


ACTIVATION = Option(type=str, choices=tuple(ACTIVATIONS), help="of all layers, which the file does not tell")
SYSTEMS = {SYSTEM: Reader(translate=translate_my_linear_net, options={"activation": ACTIVATION})}
