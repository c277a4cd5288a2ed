"""Record of a system: everything scientific about it, frozen, parsed and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sv.base.config import ConfigError, check_keys, convert, from_dict, load_json, load_toml, shown, to_dict
from sv.data.audio import SAMPLING_RATE
from sv.data.augment import AugmentConfig
from sv.data.sampler import BATCHES, PairsConfig
from sv.features import FEATURES
from sv.features.segments import SegmentConfig
from sv.models import MODELS
from sv.train.config import TrainConfig
from sv.train.steps import LOSS_TYPES, loss_record
from sv.train.steps.pairs import PairLossConfig


@dataclass(frozen=True, kw_only=True)
class PublishedConfig:
    """Origin of weights that were not trained here; how they were trained is not known.

    Attributes
    ----------
    system : str
        As `sv convert` calls it.
    source : str
        Name of the file.
    file_sha256 : str
    """

    system: str
    source: str
    file_sha256: str


@dataclass(frozen=True, kw_only=True)
class ParentConfig:
    """The model that an adaptation started from.

    Attributes
    ----------
    name : str
    weights_sha256 : str
        Of its file of weights.
    """

    name: str
    weights_sha256: str


@dataclass(frozen=True, kw_only=True)
class SystemConfig:
    """The resolved configuration of a system; config.json beside its weights.

    Attributes
    ----------
    name : str
    features, model, loss, batches : dataclass
        Of the types named by `features_type` (see `sv.features.FEATURES`), `model_type` (`sv.models.MODELS`), `loss_type`
        (`sv.train.steps.LOSS_TYPES`) and `batches_type` (`sv.data.sampler.BATCHES`).
    seed : int
    num_speakers : int
        Of the training set, speed-perturbed copies included; 0 before training.
    published : PublishedConfig, optional
        Of a converted checkpoint: `loss`, `batches`, `augment` and `train` are then defaults that say nothing about it.
    parent : ParentConfig, optional
        Of an adaptation: `loss`, `batches`, `augment` and `train` say how it was adapted, not how its parent was trained.
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
    published: PublishedConfig | None = None
    parent: ParentConfig | None = None


_TYPED = {"features": FEATURES, "model": MODELS, "loss": LOSS_TYPES, "batches": BATCHES}
_DEFAULT_TYPES = {"loss": "pairs", "batches": "pairs"}
_SECTIONS = {"augment": AugmentConfig, "train": TrainConfig, "extract": SegmentConfig}
_SCALARS = {"name": str, "seed": int, "num_speakers": int}
_ORIGINS = {"published": PublishedConfig, "parent": ParentConfig}
_EMBEDDINGS = "embedding"  # the type of [features] that reads embeddings; all others read waveforms


def parse_system(table: Mapping[str, Any], where: str) -> SystemConfig:
    """Build a system's record from the tables of its TOML or JSON file.

    Raises
    ------
    ConfigError
        Naming file and key: for unknown keys and wrong values, and for sections that do not go together.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: expected tables of keys and values, got {shown(table)}")
    check_keys(table, (*_SECTIONS, *_TYPED, *_SCALARS, *_ORIGINS), where)
    typed = {}
    for key in _TYPED:
        typed[f"{key}_type"], typed[key] = _typed_section(table, key, where)
    sections = {key: from_dict(cls, table.get(key, {}), where, f"{key}.") for key, cls in _SECTIONS.items()}
    scalars = {key: convert(kind, table[key], where, key) for key, kind in _SCALARS.items() if key in table}
    scalars |= {key: _origin(table[key], key, where) for key in _ORIGINS if key in table}
    system = SystemConfig(**({"name": Path(where).stem} | scalars), **typed, **sections)
    _check_features(system, where)
    _check_loss(system, where)
    return system


def _origin(section: Any, key: str, where: str) -> Any:
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: '{key}' must be a table, got {shown(section)}")
    return from_dict(_ORIGINS[key], section, where, f"{key}.")


def _typed_section(table: Mapping[str, Any], key: str, where: str) -> tuple[str, Any]:
    section, known = table.get(key, {}), _TYPED[key]
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: '{key}' must be a table, got {shown(section)}")
    section = dict(section)
    kind = section.pop("type", _default_type(table, key))
    if not isinstance(kind, str) or kind not in known:
        raise ConfigError(f"{where}: '{key}.type' must be one of {', '.join(sorted(known))}, got {shown(kind)}")
    record = loss_record(kind, section) if key == "loss" else known[kind][0]
    return kind, from_dict(record, section, where, f"{key}.")


def _default_type(table: Mapping[str, Any], key: str) -> str | None:
    """Type of a section that names none; that of [batches] is one that the loss can be fed with."""
    default = _DEFAULT_TYPES.get(key)
    if key != "batches":
        return default
    allowed = LOSS_TYPES[table.get("loss", {}).get("type", _DEFAULT_TYPES["loss"])][1].batches
    return default if default in allowed else allowed[0]


def _check_features(system: SystemConfig, where: str) -> None:
    """Raise ConfigError unless the front end reads what there is, and makes what the model reads."""
    features, model = system.features, system.model
    if features.input_rate not in (None, SAMPLING_RATE):
        key = next(field.name for field in fields(features) if field.name in ("input_rate", "sampling_rate"))
        raise ConfigError(
            f"{where}: features.{key} is {features.input_rate}, but all audio is {SAMPLING_RATE} Hz after stage 0; "
            "remove the key"
        )
    step, loss = LOSS_TYPES[system.loss_type][1], f'{where}: loss.type = "{system.loss_type}"'
    if system.train.masks.prob and not features.num_mel_bins:
        kind = system.features_type
        raise ConfigError(f'{where}: train.masks hide mel bins and frames, of which features.type = "{kind}" has none')
    needed = [kind for kind in FEATURES if (kind == _EMBEDDINGS) == (step.reads == "embeddings")]
    if system.features_type not in needed:
        raise ConfigError(f'{loss} needs features.type {_quoted(needed)}, got "{system.features_type}"')
    if model.num_mel_bins != features.num_mel_bins:
        raise ConfigError(
            f"{where}: model.num_mel_bins is {model.num_mel_bins}, features.num_mel_bins {features.num_mel_bins}; "
            "they must agree"
        )


def _check_loss(system: SystemConfig, where: str) -> None:
    """Raise ConfigError unless the loss can be computed of such batches."""
    step, loss = LOSS_TYPES[system.loss_type][1], f'{where}: loss.type = "{system.loss_type}"'
    if system.batches_type not in step.batches:
        raise ConfigError(f'{loss} needs batches.type {_quoted(step.batches)}, got "{system.batches_type}"')
    try:
        step.check(system.loss, system.batches, system.train)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _quoted(names: Sequence[str]) -> str:
    return " or ".join(f'"{name}"' for name in names)


def load_system(path: str | Path) -> SystemConfig:
    """Read a system's TOML file, or a model folder's config.json; the name is the file's unless it says otherwise."""
    return parse_system(load_json(path) if Path(path).suffix == ".json" else load_toml(path), str(path))


def system_to_dict(system: SystemConfig) -> dict[str, Any]:
    """The tables that `parse_system` reads."""
    record = to_dict(system)
    for key in _TYPED:
        record[key] = {"type": record.pop(f"{key}_type"), **record[key]}
    for key in _ORIGINS:
        if record[key] is None:
            del record[key]
    return record


def with_speakers(system: SystemConfig, num_speakers: int, seed: int) -> SystemConfig:
    """The record of a training run, whose weights are of nobody else."""
    return replace(system, num_speakers=num_speakers, seed=seed, published=None)
