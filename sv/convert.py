"""Published checkpoints to model folders that extraction reads."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sv import convert_voxceleb_trainer
from sv.config import to_dict, write_json
from sv.features import LogMelConfig
from sv.files import atomic_write
from sv.models import MODELS
from sv.models.resnet import MEL_STRIDE, NUM_LEVELS

LEVEL_PREFIX = {"se_resnet": "layer", "unet": "d_res_", "exu_net": "d_res_"}
CONVERTIBLE = (*LEVEL_PREFIX, *convert_voxceleb_trainer.SYSTEMS)


class CheckpointError(ValueError):
    """A file that does not hold the weights it should; the message names it."""


def convert_checkpoint(
    system: str, path: str | Path, out_dir: str | Path, input_scale: float | None = None
) -> list[str]:
    """Write `out_dir`/config.json and `out_dir`/checkpoints/best.pt from a published checkpoint.

    Parameters
    ----------
    system : {"se_resnet", "unet", "exu_net", "resnet_se34l", "resnet_se34v2", "vggvox"}
        The model of `sv.models.MODELS` whose weights the file holds.
    path : path
        A state dict as the published training code saves it, with or without the prefix of a distributed wrapper.
        Only tensors are unpickled.
    out_dir : path
        Created if need be.
    input_scale : float, optional
        Of voxceleb_trainer's networks alone, where the file does not tell: see `convert_voxceleb_trainer`.

    Returns
    -------
    list of str
        What the user should know of what was found.

    Raises
    ------
    CheckpointError
        If the file is no state dict, or not one of this system: every name and shape must fit.
    """
    if system in convert_voxceleb_trainer.SYSTEMS:
        return _convert_voxceleb_trainer(system, path, Path(out_dir), input_scale)
    if system not in LEVEL_PREFIX:
        raise CheckpointError(f"no converter for {system!r}; known: {', '.join(CONVERTIBLE)}")
    state = read_state_dict(path)
    config = infer_config(system, state, path)
    model = MODELS[system][1](config)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: not a checkpoint of {system}: {_first_lines(str(error))}") from error
    checkpoint = Path(out_dir) / "checkpoints" / "best.pt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(checkpoint, "wb") as file:
        torch.save({"model": model.state_dict()}, file)
    features = LogMelConfig(num_mel_bins=config.num_mel_bins)
    write_json(
        Path(out_dir) / "config.json",
        {
            "name": system,
            "features": {"type": "log_mel", **to_dict(features)},
            "model": {"type": system, **to_dict(config)},
        },
    )
    return []


def _convert_voxceleb_trainer(system: str, path: str | Path, out_dir: Path, input_scale: float | None) -> list[str]:
    content = _load(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path}: expected a mapping from parameter names to tensors, got {type(content).__name__}"
        )
    try:
        published = convert_voxceleb_trainer.read_published(system, content, input_scale)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    model = MODELS[system][1](published.model)
    try:
        model.load_state_dict(published.weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: not a checkpoint of {system}: {_first_lines(str(error))}") from error
    checkpoint = out_dir / "checkpoints" / "best.pt"
    with atomic_write(checkpoint, "wb") as file:
        torch.save({"model": model.state_dict(), "criterion": published.criterion}, file)
    tables = {
        "name": system,
        "features": {"type": "log_mel", **to_dict(published.features)},
        "model": {"type": system, **to_dict(published.model)},
        "extract": to_dict(convert_voxceleb_trainer.EVALUATION),
    }
    write_json(out_dir / "config.json", tables)
    features = published.features
    return [
        f"{features.num_mel_bins} mels, {features.window} window, audio times {features.input_scale:g}",
        f"loss: {', '.join(published.criterion) or 'none'} (kept in checkpoints/best.pt)",
    ]


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict without executing what the file may contain; a `module.` prefix is dropped.

    Raises
    ------
    CheckpointError
        If the file does not hold a mapping from names to tensors, and nothing else.
    """
    state = _load(path)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: expected a mapping from parameter names to tensors, got {type(state).__name__}")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _load(path: str | Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path}: not a PyTorch checkpoint of tensors only: {_first_lines(str(error))}"
        ) from error


def infer_config(system: str, state: Mapping[str, Tensor], path: str | Path) -> Any:
    """The model config that a state dict implies.

    Strides leave no trace in weights; they are the published ones. The number of mel bins does in ExU-Net only; else
    it is the published 64.
    """
    levels = [f"{LEVEL_PREFIX[system]}{number}" for number in range(1, NUM_LEVELS + 1)]
    try:
        channels = tuple(state[f"{level}.0.conv1.weight"].shape[0] for level in levels)
        blocks = tuple(len({name.split(".")[1] for name in state if name.startswith(f"{level}.")}) for level in levels)
        pooled = state["attention.0.weight"].shape[1]
        embedding_dim = state["fc.weight"].shape[0]
    except KeyError as error:
        raise CheckpointError(f"{path}: not a checkpoint of {system}: it has no {error.args[0]}") from error
    config_class = MODELS[system][0]
    bins = MEL_STRIDE * pooled // channels[-1] if system == "exu_net" else config_class().num_mel_bins
    return config_class(num_mel_bins=bins, channels=channels, blocks=blocks, embedding_dim=embedding_dim)


def _first_lines(message: str, length: int = 300) -> str:
    shortened = " ".join(message.split())
    return shortened if len(shortened) <= length else f"{shortened[:length]}..."
