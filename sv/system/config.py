"""A system: everything scientific about it in one frozen record."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sv.base.config import ConfigError, check_keys, from_dict, load_json, load_toml, to_dict
from sv.data.augment import AugmentConfig
from sv.data.sampler import BATCHES, PairsConfig
from sv.features import FEATURES
from sv.features.segments import SegmentConfig
from sv.models import MODELS
from sv.train.config import TrainConfig
from sv.train.steps import STEPS
from sv.train.steps.pairs import PairLossConfig


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
    extract: SegmentConfig = field(default_factory=SegmentConfig)
    seed: int = 0
    num_speakers: int = 0


_TYPED = {"features": FEATURES, "model": MODELS, "loss": STEPS, "batches": BATCHES}
_DEFAULT_TYPES = {"loss": "pairs", "batches": "pairs"}
_SECTIONS = {"augment": AugmentConfig, "train": TrainConfig, "extract": SegmentConfig}
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


def with_speakers(system: SystemConfig, num_speakers: int, seed: int) -> SystemConfig:
    """The record of a training run."""
    return replace(system, num_speakers=num_speakers, seed=seed)
