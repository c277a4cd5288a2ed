"""Convert published checkpoints into model folders that extraction reads: one table of readers for every system."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sv.published import embedding_mlp, exu_net, ge2e, rawnet, rawnet_keras, voxceleb_trainer
from sv.published.checkpoint import CheckpointError, Converted, Option, Reader, load, write_model_folder

FAMILIES = (exu_net, ge2e, rawnet, rawnet_keras, voxceleb_trainer, embedding_mlp)
SYSTEMS: dict[str, Reader] = {system: reader for family in FAMILIES for system, reader in family.SYSTEMS.items()}
OPTIONS: dict[str, dict[str, Option]] = {  # by name, then by the systems that declare it
    name: {system: reader.options[name] for system, reader in SYSTEMS.items() if name in reader.options}
    for name in sorted({name for reader in SYSTEMS.values() for name in reader.options})
}


class UsageError(ValueError):
    """An unknown system, option or value; the message lists the known ones."""


def convert_checkpoint(
    system: str, path: str | Path, out_dir: str | Path, options: Mapping[str, Any] | None = None
) -> list[str]:
    """Write `out_dir`/config.json and `out_dir`/checkpoints/best.pt from a published checkpoint.

    Parameters
    ----------
    system : str
        A key of `SYSTEMS`.
    path : path
        The file as its authors publish it. Nothing in it is executed.
    out_dir : path
        Created if need be.
    options : mapping, optional
        The reader's, for what the file does not tell.

    Returns
    -------
    list of str
        Findings for the user.

    Raises
    ------
    UsageError
        For an unknown system, option or value.
    CheckpointError
        If the file is not one of this system: every name and shape must fit. The message begins with the path.
    """
    found = read_checkpoint(system, path, options)
    write_model_folder(out_dir, system, found)
    return found.notes


def read_checkpoint(system: str, path: str | Path, options: Mapping[str, Any] | None = None) -> Converted:
    """Read a published checkpoint; parameters and errors of `convert_checkpoint`."""
    values = checked_options(system, options or {})
    try:
        return SYSTEMS[system].read(path, values)
    except KeyError as error:
        raise CheckpointError(f"{path}: not a checkpoint of {system}: it has no {error.args[0]}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (ValueError, IndexError, ZeroDivisionError) as error:  # sizes read off the weights of another network
        raise CheckpointError(f"{path}: not a checkpoint of {system}: its shapes do not fit ({error})") from error


def read_fitting(path: str | Path) -> tuple[str, Converted]:
    """Read a published checkpoint by the one system that it fits, without options.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint, or fits none of the systems, or several.
    """
    try:
        load(path)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    fitting = {}
    for system in SYSTEMS:
        try:
            fitting[system] = read_checkpoint(system, path)
        except CheckpointError:
            continue
    if len(fitting) != 1:
        which = f"fits {', '.join(fitting)}" if fitting else "fits no system as it is"
        raise CheckpointError(f"{path}: a checkpoint that {which}; sv convert SYSTEM {path} DIR takes one by name")
    return next(iter(fitting.items()))


def checked_options(system: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of all of a system's options, None for those not given.

    Parameters
    ----------
    system : str
    given : mapping
        Values, or the text of them.

    Raises
    ------
    UsageError
        For an unknown system, an option that is unknown or another system's, or a value that is not one of its choices.
    """
    if system not in SYSTEMS:
        raise UsageError(f"no converter for {system!r}; known: {', '.join(sorted(SYSTEMS))}")
    declared = SYSTEMS[system].options
    for name in given:
        if name not in declared:
            owners = f" ({name} is of {', '.join(OPTIONS[name])})" if name in OPTIONS else ""
            raise UsageError(f"{system} has no option {name!r}{owners}; known: {', '.join(declared) or 'none'}")
    return {name: _value(name, option, given.get(name)) for name, option in declared.items()}


def _value(name: str, option: Option, given: Any) -> Any:
    try:
        value = None if given is None else option.type(given)
    except ValueError:
        value = given
    if value is not None and value not in option.choices:
        raise UsageError(f"option {name} must be {' or '.join(option.shown_choices)}, got {given!r}")
    return value
