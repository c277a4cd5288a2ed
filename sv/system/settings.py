"""Systems with some of their keys set otherwise than their files say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sv.base.config import ConfigError, UnknownKeyError, load_toml
from sv.base.settings import with_settings
from sv.system.config import SystemConfig, parse_system


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
    before = parse_system(tables, str(path))
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
        return parse_system(with_settings(tables, settings, str(path)), str(path))
    except UnknownKeyError:
        raise
    except ConfigError as error:
        raise ConfigError(f"--set {', '.join(settings)}: {error}") from error


def _same(path: Path, tables: Mapping[str, Any], settings: Mapping[str, Any], system: SystemConfig) -> bool:
    try:
        return _parsed(path, tables, settings) == system
    except ConfigError:
        return False
