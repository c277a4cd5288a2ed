"""A model folder: a system's record and weights, and the modules that they describe."""

from pathlib import Path

import torch
from torch import nn

from sv.base.config import ConfigError, load_json, write_json
from sv.features import FEATURES
from sv.models import MODELS
from sv.system.config import SystemConfig, parse_system, system_to_dict

CONFIG = "config.json"
BEST = Path("checkpoints") / "best.pt"


def write_system(model_dir: str | Path, system: SystemConfig) -> None:
    """Write config.json into a model folder."""
    write_json(Path(model_dir) / CONFIG, system_to_dict(system))


def read_system(model_dir: str | Path) -> SystemConfig:
    """Read config.json of a model folder."""
    path = Path(model_dir) / CONFIG
    if not path.is_file():
        raise ConfigError(
            f"{path}: not there; {model_dir} is not a model folder (sv.bin.train and sv convert make one)"
        )
    return parse_system(load_json(path), str(path))


def build_frontend(system: SystemConfig) -> nn.Module:
    """The module from waveforms to features."""
    return FEATURES[system.features_type][1](system.features)


def build_model(system: SystemConfig) -> nn.Module:
    """The module from features to embeddings, freshly initialised from torch's global generator."""
    return MODELS[system.model_type][1](system.model)


def load_model(model_dir: str | Path, device: str | torch.device = "cpu") -> tuple[SystemConfig, nn.Module, nn.Module]:
    """Read a model folder: (record, front end, model), both modules on `device` and in eval mode.

    Raises
    ------
    ConfigError
        If there are no weights, or they do not fit the configuration.
    """
    system = read_system(model_dir)
    path = Path(model_dir) / BEST
    if not path.is_file():
        raise ConfigError(f"{path}: no weights there; train the system first")
    frontend, model = build_frontend(system), build_model(system)
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"], strict=True)
    except (RuntimeError, KeyError) as error:
        raise ConfigError(f"{path}: does not fit {model_dir}/{CONFIG}: {str(error).splitlines()[0]}") from error
    return system, frontend.to(device).eval(), model.to(device).eval()
