"""Model folders: read and write a system's record and weights, and build the modules that the record describes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sv.base.config import ConfigError, load_json, write_json
from sv.base.layout import ModelFolder
from sv.features import FEATURES
from sv.models import MODELS
from sv.system.config import SystemConfig, parse_system, system_to_dict
from sv.train.checkpoint import load_weights


def write_system(model_dir: str | Path, system: SystemConfig) -> None:
    """Write config.json into a model folder."""
    write_json(ModelFolder(Path(model_dir)).config, system_to_dict(system))


def read_system(model_dir: str | Path) -> SystemConfig:
    """Read config.json of a model folder; raises ConfigError if there is none."""
    path = ModelFolder(Path(model_dir)).config
    if not path.is_file():
        raise ConfigError(
            f"{path}: not there; {model_dir} is not a model folder (sv train, sv convert and sv models get make one)"
        )
    return parse_system(load_json(path), str(path))


def build_frontend(system: SystemConfig) -> nn.Module:
    """Build the module from waveforms to features."""
    return FEATURES[system.features_type][1](system.features)


def build_model(system: SystemConfig) -> nn.Module:
    """Build the module from features to embeddings, its weights drawn from torch's global generator."""
    return MODELS[system.model_type][1](system.model)


def device_of_job(job: int = 1) -> torch.device:
    """Device of one of several jobs, counted from 1: the GPUs in turn, or the CPU if there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", (job - 1) % torch.cuda.device_count())


def load_model(model_dir: str | Path, device: str | torch.device = "cpu") -> tuple[SystemConfig, nn.Module, nn.Module]:
    """Read a model folder: record, front end and model, both modules on `device` and in eval mode.

    Raises
    ------
    ConfigError
        If there are no weights, or they do not fit the configuration.
    """
    system = read_system(model_dir)
    folder = ModelFolder(Path(model_dir))
    path = folder.best
    if not path.is_file():
        raise ConfigError(f"{path}: no weights there; train the system first")
    return assemble(system, load_weights(path), str(path), device)


def assemble(
    system: SystemConfig, weights: Mapping[str, Any], where: str, device: str | torch.device = "cpu"
) -> tuple[SystemConfig, nn.Module, nn.Module]:
    """Build front end and model of a system around weights, the content of best.pt; returned as by `load_model`.

    Raises
    ------
    ConfigError
        Naming `where`, if they do not fit the system, or are NaN or infinite: no recording is to blame for what they give.
    """
    try:
        frontend, model = build_frontend(system), build_model(system)
    except (RuntimeError, MemoryError, ArithmeticError) as error:  # sizes that no memory holds, or no layer can have
        raise ConfigError(f"{where}: its configuration describes no network: {str(error).splitlines()[0]}") from error
    if misfit := misfit_of(model.state_dict(), weights.get("model", {})):
        raise ConfigError(f"{where}: does not fit its configuration: {misfit}")
    model.load_state_dict(weights["model"], strict=True)
    floats = {name: weight for name, weight in model.state_dict().items() if weight.is_floating_point()}
    if bad := [name for name, weight in floats.items() if not torch.isfinite(weight).all()]:
        raise ConfigError(
            f"{where}: {len(bad)} of {len(floats)} weights hold NaN or infinity, e.g. {bad[0]}; train again, or take an "
            "earlier checkpoint"
        )
    return system, frontend.to(device).eval(), model.to(device).eval()


def misfit_of(own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> str:
    """Say how many weights of a network are missing, too many or of another shape, one of each; empty if all fit."""
    missing = [name for name in own if name not in given]
    unknown = [name for name in given if name not in own]
    other = [name for name in own if name in given and own[name].shape != given[name].shape]
    said = []
    if missing:
        said.append(f"{len(missing)} of {len(own)} weights are not there, e.g. {missing[0]}")
    if other:
        shapes = f"{tuple(given[other[0]].shape)} and not {tuple(own[other[0]].shape)}"
        said.append(f"{len(other)} have another shape, e.g. {other[0]} {shapes}")
    if unknown:
        said.append(f"{len(unknown)} are of no layer, e.g. {unknown[0]}")
    return "; ".join(said)
