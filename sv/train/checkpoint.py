"""Checkpoints that are whole: written to a temporary name and renamed, and holding everything that resuming needs."""

import random
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sv.base.config import ConfigError
from sv.base.files import atomic_write
from sv.base.log import get_logger

State = dict[str, Any]

# NumPy's arrays, which hold numbers alone: checkpoints held the state of its generator so.
ARRAYS = [np.empty(0).__reduce__()[0], np.ndarray, np.dtype, type(np.dtype(np.uint32))]


def seed_rng(seed: int) -> None:
    """Seed the global generators, so that equal runs have equal states; `seed` is of 32 bits."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def rng_state() -> State:
    """States of the global generators, as tensors and numbers; our own draws are keyed and need none."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    name, key, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": [name, torch.from_numpy(key.astype(np.int64)), *rest],
        "python": random.getstate(),
    }


def restore_rng(state: State) -> None:
    """Undo what happened to the global generators since `rng_state`."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    name, key, *rest = state["numpy"]
    np.random.set_state((name, np.asarray(key).astype(np.uint32), *rest))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))


def canonical(value: Any) -> Any:
    """The same value with containers made anew and strings interned.

    Pickle writes an object that it met before as a reference, so equal states that share their strings differently, as a
    restored one does, would have different bytes.
    """
    if isinstance(value, dict):
        return {canonical(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(canonical(item) for item in value)
    return sys.intern(value) if isinstance(value, str) else value


def save(path: str | Path, state: State) -> None:
    """Write a checkpoint, whole or not at all; equal states give equal bytes, whatever the name."""
    with atomic_write(path, "wb") as file:
        torch.save(canonical(state), file)


def load(path: Path) -> State:
    """Read a checkpoint: tensors, numbers and text, and nothing that runs code.

    Raises whatever a damaged file's bytes happen to spell.
    """
    with torch.serialization.safe_globals(ARRAYS):
        return torch.load(path, map_location="cpu", weights_only=True)


def load_weights(path: str | Path) -> State:
    """Read best.pt, or another file that holds weights by name in its entry `model`.

    Raises
    ------
    ConfigError
        Naming the file, if it cannot be read, or holds anything else.
    FileNotFoundError, PermissionError
    """
    with Path(path).open("rb"):  # the system's own words, which PyTorch would replace
        pass
    try:
        state = load(Path(path))
    except Exception as error:  # a damaged file raises whatever its bytes happen to spell
        raise ConfigError(
            f"{path}: not a checkpoint of ours; it is damaged, cut short or of another kind (sv convert reads those of others)"
        ) from error
    weights = state.get("model") if isinstance(state, dict) else None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in weights.items()
    ):
        raise ConfigError(f"{path}: it holds no weights by name under 'model'; sv convert reads checkpoints of others")
    return state


def step_checkpoints(folder: Path) -> list[Path]:
    """step-NNNNNNN.pt files, oldest first."""
    return sorted(path for path in folder.glob("step-*.pt") if re.fullmatch(r"step-\d{7,}\.pt", path.name))


def save_step(folder: Path, step: int, state: State, keep: int) -> None:
    """Write step-NNNNNNN.pt, point last.pt at it, and remove all but the newest `keep`."""
    path = folder / f"step-{step:07d}.pt"
    save(path, state)
    link, last = folder / "last.pt.tmp", folder / "last.pt"
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(path.name)
        link.replace(last)
    except OSError as error:
        with suppress(OSError):
            link.unlink(missing_ok=True)
        raise OSError(error.errno, f"could not write: {error.strerror}", str(last)) from error
    for old in step_checkpoints(folder)[:-keep]:
        old.unlink()


def step_of(path: Path) -> int:
    """Step of a step checkpoint."""
    return int(path.stem.removeprefix("step-"))


def remove_newer(folder: Path, step: int) -> None:
    """Remove the checkpoints of later steps."""
    for path in step_checkpoints(folder):
        if step_of(path) > step:
            path.unlink()


def load_newest(folder: Path) -> State | None:
    """The newest step checkpoint that can be read, or None; one that cannot is named in a warning."""
    for path in reversed(step_checkpoints(folder)):
        try:
            return load(path)
        except Exception as error:  # a damaged file raises whatever its bytes happen to spell
            get_logger("train").warning(
                "%s cannot be read (%s); trying the one before", path, str(error).split("\n")[0]
            )
    return None


def epoch_weights(folder: Path, epoch: int) -> Path:
    """File of the weights after an epoch, kept for their mean."""
    return folder / f"epoch-{epoch:04d}.pt"


def mean_weights(paths: Sequence[Path]) -> State:
    """Mean of the weights that files hold; of the counts of batches, the last."""
    found = [load_weights(path)["model"] for path in paths]
    return {
        name: torch.stack([weights[name].double() for weights in found]).mean(dim=0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in found[-1].items()
    }
