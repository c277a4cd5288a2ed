"""A system: everything scientific about it in one frozen record, and the modules that record describes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sv.config import ConfigError, check_keys, from_dict, load_json, load_toml, to_dict, write_json
from sv.data.augment import AugmentConfig
from sv.data.sampler import BATCHES, PairsConfig
from sv.extract import ExtractConfig
from sv.features import FEATURES
from sv.models import MODELS
from sv.train.config import TrainConfig
from sv.train.steps import STEPS, PairLossConfig

CONFIG = "config.json"
BEST = Path("checkpoints") / "best.pt"


@dataclass(frozen=True, kw_only=True)
class SystemConfig:
    """The resolved configuration of a system; config.json beside its weights.

    Attributes
    ----------
    name : str
    features, model, loss, batches : dataclass
        Of the types named by `features_type` (see `sv.features.FEATURES`), `model_type` (`sv.models.MODELS`), `loss_type`
        (`sv.train.steps.STEPS`) and `batches_type` (`sv.data.sampler.BATCHES`).
    seed : int
    num_speakers : int
        Of the training set, speed-perturbed copies included; 0 before training.
    """

    name: str
    features_type: str
    features: Any
    model_type: str
    model: Any
    loss_type: str = "pairs"
    loss: Any = field(default_factory=PairLossConfig)
    batches_type: str = "pairs"
    batches: Any = field(default_factory=PairsConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    seed: int = 0
    num_speakers: int = 0


_TYPED = {"features": FEATURES, "model": MODELS, "loss": STEPS, "batches": BATCHES}
_DEFAULT_TYPES = {"loss": "pairs", "batches": "pairs"}
_SECTIONS = {"augment": AugmentConfig, "train": TrainConfig, "extract": ExtractConfig}
_SCALARS = ("name", "seed", "num_speakers")


def parse_system(table: Mapping[str, Any], where: str) -> SystemConfig:
    """Build a system's record from the tables of its TOML or JSON file; raises ConfigError naming file and key."""
    check_keys(table, (*_SECTIONS, *_TYPED, *_SCALARS), where)
    typed = {}
    for key in _TYPED:
        typed[f"{key}_type"], typed[key] = _typed_section(table, key, where)
    bins = {key: getattr(typed[key], "num_mel_bins", None) for key in ("model", "features")}
    if bins["model"] != bins["features"]:
        raise ConfigError(
            f"{where}: model.num_mel_bins is {bins['model']}, features.num_mel_bins {bins['features']}; they must agree"
        )
    sections = {key: from_dict(cls, table.get(key, {}), where, f"{key}.") for key, cls in _SECTIONS.items()}
    scalars = {key: table[key] for key in _SCALARS if key in table}
    return SystemConfig(
        **({"name": Path(where).stem} | scalars),
        **typed,
        **sections,
    )


def _typed_section(table: Mapping[str, Any], key: str, where: str) -> tuple[str, Any]:
    section, known = dict(table.get(key, {})), _TYPED[key]
    kind = section.pop("type", _DEFAULT_TYPES.get(key))
    if kind not in known:
        raise ConfigError(f"{where}: '{key}.type' must be one of {', '.join(sorted(known))}, got {kind!r}")
    return kind, from_dict(known[kind][0], section, where, f"{key}.")


def load_system(path: str | Path) -> SystemConfig:
    """Read a system's TOML file, or a model folder's config.json; the name is the file's unless it says otherwise."""
    return parse_system(load_json(path) if Path(path).suffix == ".json" else load_toml(path), str(path))


def system_to_dict(system: SystemConfig) -> dict[str, Any]:
    """The tables that `parse_system` reads."""
    record = to_dict(system)
    for key in _TYPED:
        record[key] = {"type": record.pop(f"{key}_type"), **record[key]}
    return record


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


def with_speakers(system: SystemConfig, num_speakers: int, seed: int) -> SystemConfig:
    """The record of a training run."""
    return replace(system, num_speakers=num_speakers, seed=seed)
