"""Settings of single keys, `section.key=value`, over the tables of a TOML file; and tables as TOML."""

import datetime
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from sv.base.config import ConfigError, shown

KEY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


def read_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Values by dotted key, whatever the order of the texts.

    Parameters
    ----------
    texts : iterable of str
        `section.key=value`, the value as in TOML; what is no value of TOML is text, so that text needs no quotes.

    Raises
    ------
    ConfigError
        For another form, and for a key with two values.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, sign, words = text.partition("=")
        if not sign or not KEY.fullmatch(key):
            raise ConfigError(f"takes SECTION.KEY=VALUE, got {text[:80]!r}")
        value = _value(words.strip())
        if key in settings and settings[key] != value:
            raise ConfigError(f"has two values for {key}, {shown(settings[key])} and {shown(value)}")
        settings[key] = value
    return {key: settings[key] for key in sorted(settings)}


def _value(words: str) -> Any:
    try:
        table = tomllib.loads(f"value = {words}")
    except (ValueError, RecursionError):
        return words
    return table["value"] if len(table) == 1 else words


def with_settings(tables: Mapping[str, Any], settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Copy tables with other values; raises ConfigError naming `where` and the key for one below what is no table."""
    result = dict(tables)
    for key, value in settings.items():
        table = result
        *sections, last = key.split(".")
        for depth, section in enumerate(sections, start=1):
            inner = table.get(section, {})
            if not isinstance(inner, Mapping):
                raise ConfigError(f"{where}: '{'.'.join(sections[:depth])}' is no table, so there is no '{key}'")
            table[section] = table = dict(inner)
        table[last] = value
    return result


def toml_text(tables: Mapping[str, Any], prefix: str = "") -> str:
    """Write tables as TOML, which `tomllib` reads back."""
    lines = [f"{_word(key)} = {_text(value)}\n" for key, value in tables.items() if not isinstance(value, Mapping)]
    for key, value in tables.items():
        if isinstance(value, Mapping):
            name = f"{prefix}{_word(key)}"
            lines.append(f"\n[{name}]\n{toml_text(value, f'{name}.')}")
    return "".join(lines)


def _word(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key, re.ASCII) else _text(key)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_word(key)} = {_text(inner)}' for key, inner in value.items())}}}"
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else repr(value)
