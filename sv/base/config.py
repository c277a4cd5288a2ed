"""TOML or JSON tables to frozen dataclasses, strictly: a misspelt key is an error that names the known ones."""

import dataclasses
import difflib
import json
import math
import reprlib
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sv.base.files import write_text


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names file, key and remedy."""


class UnknownKeyError(ConfigError):
    """A key that a table does not have.

    Attributes
    ----------
    key : str
        With the names of the tables that it is in, and dots.
    """

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


MAX_WHOLE = 2**63 - 1
MAX_DEPTH = 50  # of tables and lists within each other
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 12
_SHORT.maxlevel = 3


def shown(value: Any) -> str:
    """A value as a message quotes it: its beginning, on one line."""
    if isinstance(value, int) and abs(value) > MAX_WHOLE:  # Python refuses to write the longest
        return "a number of very many digits"
    try:
        return _SHORT.repr(value)
    except ValueError:
        return f"a {type(value).__name__} with a number of very many digits"


def load_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file; raises ConfigError with its name and line."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply") from error
    return _of_some_depth(table, path)


def load_json(path: str | Path) -> Any:
    """Read a JSON file; raises ConfigError with its name and line."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply") from error
    return _of_some_depth(value, path)


def _of_some_depth(value: Any, path: str | Path) -> Any:
    """The value; raises ConfigError if it is nested so deeply that a function that calls itself could not walk it."""
    level = [value]
    for _ in range(MAX_DEPTH):
        tables, lists = ([one for one in level if isinstance(one, kind)] for kind in (dict, list))
        level = [inner for one in tables for inner in one.values()] + [inner for one in lists for inner in one]
        if not level:
            return value
    raise ConfigError(f"{path}: nested too deeply")


def load_json_table(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds one object; raises ConfigError if it holds anything else, or as `load_json` does."""
    table = load_json(path)
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: expected a JSON object, got {type(table).__name__}")
    return table


def write_json(path: str | Path, record: Any) -> None:
    """Write a dataclass (or plain JSON value) as indented JSON, whole or not at all."""
    write_text(path, json.dumps(to_dict(record), indent=2) + "\n")


def to_dict(record: Any) -> Any:
    """Plain dicts, lists and scalars from nested dataclasses; `from_dict` turns them back."""
    if dataclasses.is_dataclass(record):
        return {field.name: to_dict(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {key: to_dict(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [to_dict(value) for value in record]
    return record


def require(
    record: object,
    *,
    at_least_one: typing.Iterable[str] = (),
    not_negative: typing.Iterable[str] = (),
    positive: typing.Iterable[str] = (),
) -> None:
    """Raise ValueError naming the first of the record's fields that is out of range; NaN is out of every range."""
    for name in at_least_one:
        if not getattr(record, name) >= 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(record, name)}")
    for name in not_negative:
        if not getattr(record, name) >= 0:
            raise ValueError(f"{name} must not be negative, got {getattr(record, name)}")
    for name in positive:
        if not getattr(record, name) > 0:
            raise ValueError(f"{name} must be positive, got {getattr(record, name)}")


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested keys into dotted ones: {"train": {"lr": 1}} into {"train.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def check_keys(table: Mapping[str, Any], known: typing.Collection[str], where: str, prefix: str = "") -> None:
    """Raise UnknownKeyError, a ConfigError, if `table` has a key that is not `known`."""
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            message = f"{where}: unknown key {shown(f'{prefix}{key}')}; {hint}known here: {', '.join(sorted(known))}"
            raise UnknownKeyError(message, f"{prefix}{key}")


def from_dict(cls: type, table: Mapping[str, Any], where: str, prefix: str = "") -> Any:
    """Build the dataclass `cls`; what `table` does not name keeps its default.

    Parameters
    ----------
    cls : dataclass type
    table : mapping
    where : str
        Named in errors: the file.
    prefix : str
        Dotted path of this table within the file, with its final dot.

    Raises
    ------
    ConfigError
        For an unknown or missing key, a value of another type, a number that is not finite or too large for 64 bits, or
        a value that the dataclass refuses.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: {prefix.rstrip('.') or 'the file'} must be a table of keys and values")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    check_keys(table, fields, where, prefix)
    hints = typing.get_type_hints(cls)
    values = {key: convert(hints[key], value, where, f"{prefix}{key}") for key, value in table.items()}
    try:
        return cls(**values)
    except ConfigError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        reason = " ".join(str(error).split())  # which may quote any value
        reason = reason if len(reason) <= 600 else f"{reason[:600]} ..."
        raise ConfigError(f"{where}: [{prefix.rstrip('.') or 'top level'}] {reason}") from error


def convert(hint: Any, value: Any, where: str, key: str) -> Any:
    """A value of TOML or JSON as the type that a field is declared with; raises ConfigError naming `where` and `key`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _convert_union(arguments, value, where, key)
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise ConfigError(f"{where}: '{key}' must be one of {', '.join(map(repr, arguments))}, got {shown(value)}")
    if origin is tuple and isinstance(value, (list, tuple)):
        return _convert_tuple(arguments, value, where, key)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_dict(hint, value, where, f"{key}.")
    if hint in (int, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, int) and abs(value) > MAX_WHOLE:
            raise ConfigError(f"{where}: '{key}' is too large a number")
        if not math.isfinite(value):
            raise ConfigError(f"{where}: '{key}' must be a finite number, got {value}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool) == isinstance(value, bool):
        return value
    raise ConfigError(f"{where}: '{key}' must be {getattr(hint, '__name__', hint)}, got {shown(value)}")


def _convert_union(hints: tuple, value: Any, where: str, key: str) -> Any:
    for hint in hints:
        try:
            return None if hint is types.NoneType and value is None else convert(hint, value, where, key)
        except ConfigError:
            continue
    names = " or ".join(getattr(hint, "__name__", str(hint)) for hint in hints)
    raise ConfigError(f"{where}: '{key}' must be {names}, got {shown(value)}")


def _convert_tuple(hints: tuple, value: list | tuple, where: str, key: str) -> tuple:
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise ConfigError(f"{where}: '{key}' must have {len(hints)} values, got {shown(value)}")
    return tuple(convert(hint, item, where, f"{key}[{i}]") for i, (hint, item) in enumerate(zip(hints, value)))
