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
from sv.base.files import atomic_write, sha256_of
from sv.base.layout import ModelFolder
from sv.published.file_kinds import failed_download, head_of, is_safetensors, other_kind
from sv.published.safetensors import read_safetensors

# The state of an optimiser or a schedule, beside the weights, may hold numbers of NumPy's.
NUMPY_SCALARS = [np._core.multiarray.scalar, np.dtype, np.dtypes.Float64DType, np.dtypes.Int64DType]
COUNTER = "num_batches_tracked"  # of batch norms; PyTorch before 0.4.1 did not save it, and evaluation does not read it


class CheckpointError(ValueError):
    """A file that does not hold the weights it should."""


class MisfitError(CheckpointError):
    """Weights that give a network's sizes, but are not all of it, or more."""


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
    """A value that a file does not tell: a reader needs it, or supposes one unless it is given.

    Attributes
    ----------
    type : callable
        From text to the value; raises ValueError.
    choices : tuple
        The values allowed; empty if the type says all.
    help : str
    """

    type: Callable[[Any], Any]
    choices: tuple[Any, ...] = ()
    help: str

    @property
    def shown_choices(self) -> list[str]:
        """The choices as a user types them."""
        return [
            f"{choice:g}"
            if isinstance(choice, float)
            else str(choice).lower()
            if choice in (True, False)
            else str(choice)
            for choice in self.choices
        ]


def truth(text: Any) -> bool:
    """Read true or false; raises ValueError for all else."""
    try:
        return {"true": True, "false": False}[str(text).lower()]
    except KeyError:
        raise ValueError(f"neither true nor false: {text!r}") from None


def positive_number(text: Any) -> int:
    """Read a whole number from 1 on; raises ValueError for all else."""
    if (number := int(text)) < 1:
        raise ValueError(f"not positive: {text!r}")
    return number


def load(path: str | Path) -> Any:
    """Unpickle tensors, numbers, text and containers of these; a file that asks for more is refused. Or read safetensors.

    Raises
    ------
    CheckpointError
        If the file is empty or of another kind, named in the message, or PyTorch cannot read it so.
    """
    head = head_of(path)
    if is_safetensors(head):
        try:
            return read_safetensors(path)
        except ValueError as error:
            raise CheckpointError(str(error)) from error
    if what := failed_download(head) or other_kind(path, head):
        raise CheckpointError(what)
    with Path(path).open("rb") as file:
        try:
            with torch.serialization.safe_globals(NUMPY_SCALARS):
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # of a damaged file anything comes, AssertionError and nameless OSError among them
            raise CheckpointError(f"not a PyTorch checkpoint of tensors only: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Say what is wrong without PyTorch's advice, which is to switch the safe reading off."""
    asked = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
    return f"it asks for {asked[1]}, which is not read" if asked else "damaged, cut short or of another kind"


INTEGERS, UNIT = 32768.0, 1.0
INPUT_SCALE = Option(
    type=float,
    choices=(UNIT, INTEGERS),
    help="range of the audio that the network was trained on, if its file does not tell",
)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """The function that translates one system's checkpoints, and the options that it declares.

    Attributes
    ----------
    translate : callable
        (source, options) -> Converted, of a `sv.published.containers.Source`. `options` has a value for every declared
        option, None where none was given. Raises CheckpointError, or KeyError with the name of a parameter that the
        weights lack.
    options : mapping of str to Option
    load : callable
        From a path to the file's content; raises CheckpointError.
    """

    translate: Callable[[Any, Mapping[str, Any]], Converted]
    options: Mapping[str, Option] = field(default_factory=dict)
    load: Callable[[str | Path], Any] = load


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
        raise MisfitError(f"not a checkpoint of {system}: {'; '.join(listed)}")
    model.load_state_dict(found, strict=False)  # what it lacks are counters
    return model


def write_model_folder(out_dir: str | Path, name: str, found: Converted, source: str | Path) -> None:
    """Write the weights, then the configuration, of a model folder.

    config.json says in `published` of which system's checkpoint, by name and SHA-256 of the file, its weights are: what
    nobody trained here. Sections that describe training are not there.
    """
    folder = ModelFolder(Path(out_dir))
    with atomic_write(folder.best, "wb") as file:
        torch.save(found.weights, file)
    published = {"system": name, "source": Path(source).name, "file_sha256": sha256_of(Path(source))}
    write_json(folder.config, {"name": name, "published": published, **found.tables})
