"""Opening of the model that an adaptation starts from, and the system that results from it and a TOML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sv.base.config import ConfigError, load_toml
from sv.embed.opening import ModelSource, find_source, load_source
from sv.system.config import ParentConfig, SystemConfig, parse_system, system_to_dict
from sv.train.steps import LOSS_TYPES

OF_THE_PARENT = ("features", "extract", "published", "parent")  # tables that an adaptation's file does not have
FRONTEND, WCCN = "adapt_frontend", "adapt_wccn"


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A model to adapt.

    Attributes
    ----------
    system : SystemConfig
    weights : dict of str to torch.Tensor
    record : ParentConfig
        Its name and hash, for the result.
    """

    system: SystemConfig
    weights: dict[str, Tensor]
    record: ParentConfig


def open_parent(model: str | Path, option: str = "--extractor") -> Parent:
    """Read the model that an option names, as `sv.embed.opening.find_source` takes it.

    Raises
    ------
    ConfigError, CheckpointError
        If there is none, it has no gradients (an .onnx file, a program), reads embeddings, or its weights do not fit.
    """
    source = find_source(model)
    if source.kind in ("onnx", "command"):
        what = "an .onnx file" if source.kind == "onnx" else "a program"
        raise ConfigError(
            f"{option} {model}: {what}, through which no gradient passes; give a model folder or a published checkpoint"
        )
    return _read(source, f"{option} {model}")


def _read(source: ModelSource, where: str) -> Parent:
    system, _, network = load_source(source)
    if system.features_type == "embedding":
        raise ConfigError(f"{where}: it reads embeddings, not audio; name the extractor that they come from")
    weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return Parent(system=system, weights=weights, record=ParentConfig(name=source.name, weights_sha256=source.sha256()))


def load_adaptation(path: str | Path, parent: Parent) -> SystemConfig:
    """Read an adaptation's TOML file; front end, segments and model are the parent's.

    But that [loss] type = "adapt_frontend" puts a network before it, and "adapt_wccn" an affine map behind it.

    Raises
    ------
    ConfigError
        Naming file and key: if it is not an adaptation's, has a table of its own for what is the parent's, or a front end
        cannot make what the parent reads.
    """
    table = load_toml(path)
    loss = table.get("loss")
    kind = loss.get("type") if isinstance(loss, Mapping) else None
    known = [name for name, (_, step) in LOSS_TYPES.items() if step.adapts]
    if kind not in known:
        raise ConfigError(f"{path}: 'loss.type' must be one of {', '.join(known)} to adapt a model, got {kind!r}")
    own = [key for key in (*OF_THE_PARENT, *(() if kind == FRONTEND else ("model",))) if key in table]
    if own:
        raise ConfigError(f"{path}: '{own[0]}' is that of --extractor; remove the table")
    inherited = system_to_dict(parent.system)
    tables = {
        **table,
        "name": table.get("name", f"{Path(path).stem}-{parent.record.name}"),
        "features": inherited["features"],
        "extract": inherited["extract"],
        "model": _model(table, inherited["model"], kind, str(path)),
        "parent": {"name": parent.record.name, "weights_sha256": parent.record.weights_sha256},
    }
    system = parse_system(tables, str(path))
    if kind == FRONTEND and bool(system.loss.mixture) != system.model.background:
        raise ConfigError(
            f"{path}: 'loss.mixture' is the consistency of speech and background, and 'model.background' estimates the latter: set "
            "both or neither"
        )
    return system


def _model(table: Mapping[str, Any], inherited: Mapping[str, Any], kind: str, path: str) -> Mapping[str, Any]:
    if kind == WCCN and inherited["type"] != "transformed":  # of one that has a map, that is changed
        return {"type": "transformed", "extractor": dict(inherited)}
    if kind != FRONTEND:
        return inherited
    own = table.get("model", {})
    if not isinstance(own, Mapping) or {"type", "extractor"} & own.keys():
        raise ConfigError(f"{path}: 'model' must be a table of the U-Net: channels, blocks and background, and no more")
    return {"type": "enhanced", **own, "extractor": dict(inherited)}
