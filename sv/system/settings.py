"""Systems with some of their keys set otherwise than their files say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sv.base.config import ConfigError, UnknownKeyError, load_toml
from sv.base.settings import with_settings
from sv.system.config import SystemConfig, parse_system
from sv.train.steps import LOSS_TYPES

ANY_PARENT = {"features": {"type": "fbank"}, "model": {"type": "campplus"}}  # in place of what --extractor names


def resolve(paths: Sequence[Path], settings: Mapping[str, Any]) -> tuple[list[dict[str, Any] | None], list[str]]:
    """Put settings into the systems that know their keys; the results are checked as files are.

    Parameters
    ----------
    paths : sequence of path
        TOML files.
    settings : mapping
        Values by dotted key, of `sv.base.settings.read_settings`.

    Returns
    -------
    list
        For each file its tables with the settings, or None if they say what it says anyway.
    list of str
        What was left out of a file, which does not know the key: a line each.

    Raises
    ------
    ConfigError
        For a key that no system knows, a value that one of them refuses, and for what is no TOML file of a system.
    """
    resolved, unknown = [], []
    for path in paths:
        tables, errors = _resolved(path, settings)
        resolved.append(tables)
        unknown.append(errors)
    for key in settings:
        if all(key in errors for errors in unknown):
            raise ConfigError(f"--set {key}: {unknown[0][key]}")
    left_out = [f"--set {key}: not for {path}: no such key" for path, errors in zip(paths, unknown) for key in errors]
    return resolved, left_out


def _resolved(path: Path, settings: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, ConfigError]]:
    if path.suffix != ".toml":
        raise ConfigError(f"--set: {path} is of a trained system; give the TOML file that it was made from")
    tables = load_toml(path)
    before = _system_of(tables, str(path))
    known, errors = dict(settings), {}
    while True:
        try:
            after = _parsed(path, tables, known)
            break
        except UnknownKeyError as error:
            named = [key for key in known if key == error.key or key.startswith(f"{error.key}.")]
            errors |= dict.fromkeys(named, error)
            known = {key: value for key, value in known.items() if key not in named}
            if not named:
                raise
    if after == before:
        return None, errors
    for key in settings.keys() & known.keys():  # a default that is said changes nothing
        fewer = {other: value for other, value in known.items() if other != key}
        if _same(path, tables, fewer, after):
            known = fewer
    return with_settings(tables, known, str(path)), errors


def _parsed(path: Path, tables: Mapping[str, Any], settings: Mapping[str, Any]) -> SystemConfig:
    try:
        return _system_of(with_settings(tables, settings, str(path)), str(path))
    except UnknownKeyError:
        raise
    except ConfigError as error:
        raise ConfigError(f"--set {', '.join(settings)}: {error}") from error


def _system_of(tables: Mapping[str, Any], where: str) -> SystemConfig:
    """The system of a file; of one that adapts a trained model, whatever that is, with any model in its place."""
    loss = tables.get("loss")
    kind = loss.get("type") if isinstance(loss, Mapping) else None
    if not isinstance(kind, str) or kind not in LOSS_TYPES or not LOSS_TYPES[kind][1].adapts:
        return parse_system(tables, where)
    own = dict(tables.get("model", {}))
    model = {"type": "enhanced", **own, "extractor": ANY_PARENT["model"]} if own else ANY_PARENT["model"]
    inherited = [name for name in ("features", "extract") if name in tables]
    if inherited or (own and kind != "adapt_frontend"):
        raise ConfigError(f"{where}: '{(*inherited, 'model')[0]}' is that of --extractor; it cannot be set")
    return parse_system({**tables, "features": ANY_PARENT["features"], "model": model}, where)


def _same(path: Path, tables: Mapping[str, Any], settings: Mapping[str, Any], system: SystemConfig) -> bool:
    try:
        return _parsed(path, tables, settings) == system
    except ConfigError:
        return False
