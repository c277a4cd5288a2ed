"""Read other people's checkpoints safely, load them strictly, and write them as model folders.

The errors raised here do not name the file: `sv.published.convert` does, once for all readers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sv.base.config import write_json
from sv.base.files import atomic_write
from sv.base.layout import ModelFolder

# The state of an optimiser or a schedule, beside the weights, may hold numbers of NumPy's.
NUMPY_SCALARS = [np._core.multiarray.scalar, np.dtype, np.dtypes.Float64DType, np.dtypes.Int64DType]
OTHER_FILES = (  # first bytes of what a failed download leaves
    (b"<", "a web page, not a checkpoint; download the file itself"),
    (b"version https://git-lfs", "a pointer of Git LFS, not a checkpoint; fetch the file with git lfs pull"),
)
COUNTER = "num_batches_tracked"  # of batch norms; PyTorch before 0.4.1 did not save it, and evaluation does not read it


class CheckpointError(ValueError):
    """A file that does not hold the weights it should."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A published checkpoint in our format.

    Attributes
    ----------
    tables : dict
        Of config.json, without the name.
    weights : dict
        Content of best.pt.
    notes : list of str
        Findings for the user.
    """

    tables: dict[str, Any]
    weights: dict[str, Any]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Option:
    """A value that a reader needs and a file does not tell.

    Attributes
    ----------
    type : callable
        From text to the value; raises ValueError.
    choices : tuple
        The values allowed.
    help : str
    """

    type: Callable[[Any], Any]
    choices: tuple[Any, ...]
    help: str

    @property
    def shown_choices(self) -> list[str]:
        """The choices as a user types them."""
        return [f"{choice:g}" if isinstance(choice, float) else str(choice) for choice in self.choices]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """The function that reads one system's checkpoints, and the options that it declares.

    Attributes
    ----------
    read : callable
        (path, options) -> Converted. `options` has a value for every declared option, None where none was given. Raises
        CheckpointError, or KeyError with the name of a parameter that the file lacks.
    options : mapping of str to Option
    """

    read: Callable[[str | Path, Mapping[str, Any]], Converted]
    options: Mapping[str, Option] = field(default_factory=dict)


def load(path: str | Path) -> Any:
    """Unpickle tensors, numbers, text and containers of these; a file that asks for more is refused.

    Raises
    ------
    CheckpointError
        If PyTorch cannot read the file so.
    """
    with Path(path).open("rb") as file:
        refuse_other_files(file.read(64))
        file.seek(0)
        try:
            with torch.serialization.safe_globals(NUMPY_SCALARS):
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # of a damaged file anything comes, AssertionError and nameless OSError among them
            raise CheckpointError(f"not a PyTorch checkpoint of tensors only: {_reason(error)}") from error


def refuse_other_files(head: bytes) -> None:
    """Raise CheckpointError if a file's first bytes are those of something else, or there are none."""
    if not head:
        raise CheckpointError("the file is empty")
    for start, what in OTHER_FILES:
        if head.lstrip().startswith(start):
            raise CheckpointError(what)


def _reason(error: Exception) -> str:
    """Say what is wrong without PyTorch's advice, which is to switch the safe reading off."""
    asked = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
    return f"it asks for {asked[1]}, which is not read" if asked else "damaged, cut short or of another kind"


def state_dict(content: Any) -> dict[str, Tensor]:
    """A state dict without the prefix `module.` of a distributed wrapper.

    Raises
    ------
    CheckpointError
        If the content is not a mapping from names to tensors, and nothing else.
    """
    expected = "expected a mapping from parameter names to tensors, got"
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{expected} {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{expected} {type(content).__name__} whose {name!r} is {type(value).__name__}")
    return {name.removeprefix("module."): value for name, value in content.items()}


def read_state_dict(path: str | Path, *entries: str) -> dict[str, Tensor]:
    """Read a state dict without executing what the file may contain; a prefix `module.` is dropped.

    Parameters
    ----------
    path : path
    entries : str
        Places of the state dict within a training state; a file that holds the state dict alone will do as well.

    Raises
    ------
    CheckpointError
        If the file does not hold a mapping from names to tensors, and nothing else.
    """
    content = load(path)
    for entry in entries:
        if isinstance(content, Mapping) and entry in content:
            content = content[entry]
    return state_dict(content)


def load_strictly(
    system: str, model: nn.Module, state: Mapping[str, Tensor], names: Mapping[str, str] | None = None
) -> nn.Module:
    """Load every weight of `state` into `model` and return it.

    Parameters
    ----------
    system : str
        Named in errors.
    model : Module
    state : mapping of str to torch.Tensor
        By published names.
    names : mapping of str to str, optional
        From each of the model's names to the published one; the same names if not given.

    Raises
    ------
    CheckpointError
        Naming what is missing, unknown or of another shape, by its published name.
    """
    wanted = model.state_dict()
    names = {name: name for name in wanted} if names is None else names
    found = {ours: state[theirs] for ours, theirs in names.items() if theirs in state}
    missing = [theirs for ours, theirs in names.items() if ours not in found and not ours.endswith(COUNTER)]
    shapes = [
        f"{names[name]} is {tuple(value.shape)}, not {tuple(wanted[name].shape)}"
        for name, value in found.items()
        if value.shape != wanted[name].shape
    ]
    problems = {"missing": sorted(missing), "unknown": sorted(state.keys() - set(names.values())), "shapes": shapes}
    if any(problems.values()):
        listed = (
            f"{what}: {', '.join(items[:4])}{' ...' if len(items) > 4 else ''}"
            for what, items in problems.items()
            if items
        )
        raise CheckpointError(f"not a checkpoint of {system}: {'; '.join(listed)}")
    model.load_state_dict(found, strict=False)  # what it lacks are counters
    return model


def write_model_folder(out_dir: str | Path, name: str, found: Converted) -> None:
    """Write the weights, then the configuration, of a model folder."""
    folder = ModelFolder(Path(out_dir))
    with atomic_write(folder.best, "wb") as file:
        torch.save(found.weights, file)
    write_json(folder.config, {"name": name, **found.tables})
