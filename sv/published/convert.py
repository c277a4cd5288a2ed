"""Convert published checkpoints into model folders that extraction reads: one table of readers for every system."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sv.base.config import load_json
from sv.published import (
    campplus,
    embedding_diffusion,
    embedding_mlp,
    exu_net,
    ge2e,
    noise_lora,
    rawnet,
    rawnet_keras,
    redimnet2,
    speechbrain,
    voxceleb_trainer,
    wespeaker,
)
from sv.published.checkpoint import (
    CheckpointError,
    Converted,
    MisfitError,
    Option,
    Reader,
    write_model_folder,
)
from sv.published.containers import MISFITS, first_fit, notes_of

FAMILIES = (
    exu_net,
    ge2e,
    rawnet,
    rawnet_keras,
    voxceleb_trainer,
    wespeaker,
    campplus,
    speechbrain,
    redimnet2,
    embedding_diffusion,
    noise_lora,
    embedding_mlp,
)
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
        The file as its authors publish it, or its weights in another container. Nothing in it is executed.
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
        If the file is not one of this system: every name and shape must fit, every value be finite; or if `out_dir` holds
        another system. The message begins with the path.
    """
    found = read_checkpoint(system, path, options)
    check_free(Path(out_dir))
    write_model_folder(out_dir, system, found, path)
    return found.notes


MADE_HERE = ("train.jsonl", "results.json", "backend", "calibration", "embeddings", "scores")  # with a folder's weights


def check_free(folder: Path) -> None:
    """Raise CheckpointError if a folder holds more than a conversion made: a system that was trained, calibrated or scored."""
    others = [name for name in MADE_HERE if (folder / name).exists()]
    others += sorted(path.name for path in folder.glob("checkpoints/*") if path.name != "best.pt")
    if not others and (folder / "checkpoints/best.pt").is_file() and not _is_published(folder):
        others = ["checkpoints/best.pt"]
    if others:
        raise CheckpointError(
            f"{folder}: holds a system of its own ({', '.join(others[:3])}), which other weights must not replace; give "
            "another folder"
        )


def _is_published(folder: Path) -> bool:
    config = folder / "config.json"
    return config.is_file() and "published" in load_json(config)


def read_checkpoint(system: str, path: str | Path, options: Mapping[str, Any] | None = None) -> Converted:
    """Read a published checkpoint; parameters and errors of `convert_checkpoint`."""
    values = checked_options(system, options or {})
    try:
        content = SYSTEMS[system].load(path)
        source, found = first_fit(content, lambda source: SYSTEMS[system].translate(source, values))
    except MISFITS as error:
        others = _fitting(content, system) if isinstance(error, KeyError | MisfitError) else []
        instead = f"; it is one of {' or '.join(others)}" if others else ""
        raise CheckpointError(f"{path}: {_reason(system, error)}{instead}") from error
    return replace(found, notes=[*found.notes, *notes_of(source)])


def _reason(system: str, error: Exception) -> str:
    if isinstance(error, CheckpointError):
        return str(error)
    if isinstance(error, KeyError):
        return f"not a checkpoint of {system}: it has no {error.args[0]}"
    return f"not a checkpoint of {system}: its shapes do not fit ({error})"  # sizes read off another network's weights


def _fitting(content: Any, but: str) -> list[str]:
    """Names of the systems, all but one, of which a file's content is a checkpoint."""
    names = []
    for system, reader in SYSTEMS.items():
        if system != but and reader.load is SYSTEMS[but].load:
            with suppress(*MISFITS):
                first_fit(content, partial(reader.translate, options=checked_options(system, {})))
                names.append(system)
    return names


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
    if given is None:
        return None
    wanted = " or ".join(option.shown_choices) or option.type.__name__.replace("_", " ")
    try:
        value = option.type(given)
    except ValueError:
        raise UsageError(f"option {name} must be {wanted}, got {given!r}") from None
    if option.choices and value not in option.choices:
        raise UsageError(f"option {name} must be {wanted}, got {given!r}")
    return value
