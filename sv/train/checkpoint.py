"""Checkpoints that are whole: written to a temporary name and renamed, and holding everything that resuming needs."""

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sv.files import atomic_write
from sv.log import get_logger

State = dict[str, Any]


def rng_state() -> State:
    """States of the global generators; our own draws are keyed and need none."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": np.random.get_state(),
        "python": random.getstate(),
    }


def restore_rng(state: State) -> None:
    """Undo what happened to the global generators since `rng_state`."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    np.random.set_state(state["numpy"])
    random.setstate(state["python"])


def save(path: str | Path, state: State) -> None:
    """Write a checkpoint, whole or not at all; its bytes do not depend on its name."""
    with atomic_write(path, "wb") as file:
        torch.save(state, file)


def step_checkpoints(folder: Path) -> list[Path]:
    """step-NNNNNNN.pt files, oldest first."""
    return sorted(path for path in folder.glob("step-*.pt") if re.fullmatch(r"step-\d{7,}\.pt", path.name))


def save_step(folder: Path, step: int, state: State, keep: int) -> None:
    """Write step-NNNNNNN.pt, point last.pt at it, and remove all but the newest `keep`."""
    path = folder / f"step-{step:07d}.pt"
    save(path, state)
    link = folder / "last.pt.tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(path.name)
    link.replace(folder / "last.pt")
    for old in step_checkpoints(folder)[:-keep]:
        old.unlink()


def load_newest(folder: Path) -> State | None:
    """The newest step checkpoint that can be read, or None; one that cannot is named in a warning."""
    for path in reversed(step_checkpoints(folder)):
        try:
            # Ours, with the state of Python's and NumPy's generators: not restricted to tensors.
            return torch.load(path, map_location="cpu", weights_only=False)
        except Exception as error:  # a damaged file raises whatever its bytes happen to spell
            get_logger("train").warning(
                "%s cannot be read (%s); trying the one before", path, str(error).split("\n")[0]
            )
    return None
