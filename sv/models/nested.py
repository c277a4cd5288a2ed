"""Records of networks that have another network within them."""

from collections.abc import Mapping
from typing import Any

from sv.base.config import ConfigError, from_dict, shown

WHERE = "model.extractor"


def inner_record(table: Mapping[str, Any], refused: tuple[str, ...] = ()) -> Any:
    """Record that a [model] table within another describes, its type included.

    Raises
    ------
    ConfigError
        If the type is none, or one of those that are refused there.
    """
    from sv.models import MODELS  # which knows the networks that have others within them, too

    options = dict(table)
    kind = options.pop("type", None)
    if kind not in MODELS or kind in refused:
        raise ConfigError(f"{WHERE}: 'type' must be that of an extractor, got {shown(kind)}")
    return from_dict(MODELS[kind][0], options, WHERE)


def inner_network(table: Mapping[str, Any], record: Any) -> Any:
    """Network of such a table and its record."""
    from sv.models import MODELS

    return MODELS[table["type"]][1](record)
