"""best.pt belongs to the run that made it: one of another origin is never trained over, and one that is gone is made again."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sv.base.config import ConfigError
from sv.base.files import sha256_of
from sv.base.log import get_logger
from sv.train import checkpoint

RECORDED_LATER = ("training audio", "training embeddings")  # of a run's identity; older runs do not tell them

FOREIGN = (
    "weights that no training of this system made here; they are not trained over. Train into another --exp-dir, or score "
    "them: ./run.sh --model FOLDER"
)


def name_of_run(identity: Mapping[str, Any]) -> str:
    """Name of a run, which best.pt holds: a digest of its settings and of the tables of its training data."""
    known = {key: value for key, value in identity.items() if key not in RECORDED_LATER}
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def save(path: Path, weights: checkpoint.State, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Write best.pt; returns what a checkpoint tells of it."""
    checkpoint.save(path, weights | {"run": name_of_run(identity)})
    return {"step": weights["step"], "sha256": sha256_of(path)}


def read(path: Path) -> checkpoint.State:
    """Read best.pt; raises ConfigError if it cannot be read."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # whatever its bytes happen to spell
        raise ConfigError(f"{path}: cannot be read; move it away, and the next run makes it again") from error


def check_trained(path: Path) -> None:
    """Raise ConfigError if best.pt is there, and no training made it; for maps that are computed, not trained in steps."""
    if path.is_file() and "valid_eer" not in read(path):
        raise ConfigError(f"{path}: {FOREIGN}")


def check_ours(path: Path, identity: Mapping[str, Any], state: checkpoint.State | None, averages: bool = False) -> None:
    """Raise ConfigError if best.pt is there and this run did not make it.

    Parameters
    ----------
    path : Path
        best.pt.
    identity : mapping
        Of the run.
    state : dict, optional
        Its newest checkpoint's.
    averages : bool
        True if the run ends by making best.pt anew from the last epochs, whatever it was.
    """
    if not path.is_file():
        return
    told = state.get("best") if state else None
    if state is not None and told is None:  # of an older version
        return
    found = read(path)
    ours = found.get("run") == name_of_run(identity)
    if state is None and not ours:
        raise ConfigError(f"{path}: {FOREIGN}")
    if state is None or (ours and (averages or found["step"] > state["step"])):  # written just before a kill
        return
    if sha256_of(path) != told["sha256"]:
        raise ConfigError(
            f"{path}: not the weights that this run made; move it away, and the next run makes them again"
        )


def is_gone(path: Path, state: checkpoint.State | None) -> bool:
    """True if a run's best.pt, which its newest checkpoint's epochs have made, is not there."""
    return state is not None and math.isfinite(state["best_eer"]) and not path.is_file()


def resume_point(folder: Path, path: Path, state: checkpoint.State, identity: Mapping[str, Any]) -> int:
    """Step of the checkpoint to go on from, so that a best.pt that is gone is made again; -1 for the start.

    It is the newest one if a checkpoint holds the weights, which are then written, else the last before them. A checkpoint
    of an adaptation does not: what it saves is made of the trained weights and the teacher's.
    """
    told, log = state.get("best") or {"step": -1, "sha256": ""}, get_logger("train")
    target = told["step"]
    for found in reversed(checkpoint.step_checkpoints(folder)):
        earlier = checkpoint.load(found) if checkpoint.step_of(found) <= target else {"step": target + 1}
        if earlier["step"] == target:
            model = {name[6:]: value for name, value in earlier["system"].items() if name.startswith("model.")}
            weights = {"model": model, "step": target, "valid_eer": earlier["best_eer"]}
            if save(path, weights, identity)["sha256"] == told["sha256"]:
                log.info("%s is gone: its weights are those of %s", path, found)
                return state["step"]
            path.unlink()
        if earlier["step"] < target:
            log.warning("%s is gone: training again from step %d", path, earlier["step"])
            return earlier["step"]
    log.warning("%s is gone, and no checkpoint is as old as it was: training again from the start", path)
    return -1
