"""Recognise published checkpoints by their weights, where nobody says of which system they are."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from sv.published.checkpoint import CheckpointError, Converted
from sv.published.containers import MISFITS, first_fit
from sv.published.convert import SYSTEMS, checked_options


def read_fitting(path: str | Path) -> tuple[str, Converted]:
    """Read a published checkpoint by the one system that it fits, without options.

    Returns
    -------
    str, Converted
        Name of the system.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint, or fits none of the systems, or several.
    """
    contents: dict[Callable, Any] = {}
    failures: dict[Callable, Exception] = {}
    fitting: dict[str, Converted] = {}
    for system, reader in SYSTEMS.items():
        if reader.load not in contents | failures:
            try:
                contents[reader.load] = reader.load(path)
            except MISFITS as error:
                failures[reader.load] = error
        if reader.load in contents:
            translate = partial(reader.translate, options=checked_options(system, {}))
            with suppress(*MISFITS):
                fitting[system] = first_fit(contents[reader.load], translate)[1]
    if not contents:
        raise CheckpointError(f"{path}: {next(iter(failures.values()))}")
    if len(fitting) != 1:
        which = f"fits {', '.join(fitting)}" if fitting else "fits no system as it is"
        raise CheckpointError(f"{path}: a checkpoint that {which}; sv convert SYSTEM {path} DIR takes one by name")
    return next(iter(fitting.items()))
