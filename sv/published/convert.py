"""Published checkpoints to model folders that extraction reads."""

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sv.base.config import to_dict, write_json
from sv.base.files import atomic_write
from sv.features.log_mel import LogMelConfig, htk_filters
from sv.features.segments import SegmentConfig
from sv.models import MODELS
from sv.models.diff_sv import DiffSVConfig, SamplingConfig
from sv.models.resnet import MEL_STRIDE, NUM_LEVELS
from sv.published import embedding_mlp as convert_enhancement
from sv.published import rawnet as convert_rawnet
from sv.published import rawnet_keras as convert_keras
from sv.published import voxceleb_trainer as convert_voxceleb_trainer
from sv.published.hdf5 import HDF5Error, read_datasets

LEVEL_PREFIX = {"se_resnet": "layer", "unet": "d_res_", "exu_net": "d_res_", "diff_sv": "layer"}
CONVERTIBLE = (
    *LEVEL_PREFIX,
    *convert_voxceleb_trainer.SYSTEMS,
    "rawnet1",
    *convert_rawnet.LAYOUTS,
    convert_enhancement.SYSTEM,
)
RAWNET_ENTRIES = ("model", "model_state_dict")  # of the published RawNet3, and of its trainer's newer checkpoints
DIFF_SV_FEATURES = LogMelConfig(
    num_mel_bins=80, n_fft=512, low_hz=20.0, high_hz=7600.0, keep_length=True, subtract_mean=True
)
DIFF_SV_EXTRACT = SegmentConfig(segment_samples=159_920, scheme="even", num_segments=4)
DIFF_SV_SAMPLING = SamplingConfig(num_draws=4)  # windows of a short utterance are alike but for their draws
FRONT_END = "torchfbank."  # buffers of the published Diff-SV code's front end
# What a checkpoint beside its tensors may hold: numbers of NumPy's in the state of an optimiser or a schedule.
NUMPY_SCALARS = [np._core.multiarray.scalar, np.dtype, np.dtypes.Float64DType, np.dtypes.Int64DType]


class CheckpointError(ValueError):
    """A file that does not hold the weights it should; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What becomes of a published checkpoint.

    Attributes
    ----------
    tables : dict
        Of config.json, but for the name.
    weights : dict
        What best.pt holds.
    notes : list of str
        What the user should know of what was found.
    """

    tables: dict[str, Any]
    weights: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def convert_checkpoint(
    system: str,
    path: str | Path,
    out_dir: str | Path,
    input_scale: float | None = None,
    activation: str | None = None,
) -> list[str]:
    """Write `out_dir`/config.json and `out_dir`/checkpoints/best.pt from a published checkpoint.

    Parameters
    ----------
    system : str
        One of `CONVERTIBLE`: the model of `sv.models.MODELS` whose weights the file holds.
    path : path
        A state dict as the published training code saves it, with or without the prefix of a distributed wrapper, or
        the training state that holds it. Only tensors and numbers are unpickled.
    out_dir : path
        Created if need be.
    input_scale : float, optional
        Of voxceleb_trainer's networks alone, where the file does not tell: see `convert_voxceleb_trainer`.
    activation : str, optional
        Of an enhancement's network alone: see `convert_enhancement`.

    Returns
    -------
    list of str
        What the user should know of what was found.

    Raises
    ------
    CheckpointError
        If the file is no state dict, or not one of this system: every name and shape must fit.
    """
    if system == "rawnet1" or system in convert_rawnet.LAYOUTS:
        found = _rawnet(system, path)
    elif system in convert_voxceleb_trainer.SYSTEMS:
        found = _voxceleb_trainer(system, path, input_scale)
    elif system == convert_enhancement.SYSTEM:
        found = _enhancement(path, activation)
    elif system in LEVEL_PREFIX:
        found = _exu_net_family(system, path)
    else:
        raise CheckpointError(f"no converter for {system!r}; known: {', '.join(CONVERTIBLE)}")
    with atomic_write(Path(out_dir) / "checkpoints" / "best.pt", "wb") as file:
        torch.save(found.weights, file)
    write_json(Path(out_dir) / "config.json", {"name": system, **found.tables})
    return found.notes


def _rawnet(system: str, path: str | Path) -> Converted:
    try:
        if system == "rawnet1":
            published, extract = convert_keras.from_keras(read_datasets(path)), convert_keras.EXTRACT
        else:
            published = convert_rawnet.from_published(system, read_state_dict(path, *RAWNET_ENTRIES))
            extract = convert_rawnet.LAYOUTS[system].extract
    except HDF5Error as error:
        raise CheckpointError(str(error)) from error
    except convert_rawnet.PublishedError as error:
        raise CheckpointError(f"{path}: {error}") from error
    tables = {
        "num_speakers": published.num_speakers,
        "features": {"type": "waveform"},
        "model": {"type": system, **to_dict(published.config)},
        "extract": extract,
    }
    return Converted(tables=tables, weights={"model": published.state}, notes=published.notes)


def _voxceleb_trainer(system: str, path: str | Path, input_scale: float | None) -> Converted:
    content = _load(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path}: expected a mapping from parameter names to tensors, got {type(content).__name__}"
        )
    try:
        published = convert_voxceleb_trainer.read_published(system, content, input_scale)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    features = published.features
    tables = {
        "features": {"type": "log_mel", **to_dict(features)},
        "model": {"type": system, **to_dict(published.model)},
        "extract": to_dict(convert_voxceleb_trainer.EVALUATION),
    }
    notes = [
        f"{features.num_mel_bins} mels, {features.window} window, audio times {features.input_scale:g}",
        f"loss: {', '.join(published.criterion) or 'none'} (kept in checkpoints/best.pt)",
    ]
    weights = _loaded(system, published.model, published.weights, path)
    return Converted(tables=tables, weights={"model": weights, "criterion": published.criterion}, notes=notes)


def _enhancement(path: str | Path, activation: str | None) -> Converted:
    try:
        config, weights, criterion = convert_enhancement.read_published(read_state_dict(path), activation)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    tables = {
        "features": {"type": "embedding", "normalise": True},
        "model": {"type": "embedding_mlp", **to_dict(config)},
        "loss": {"type": "enhancement"},
    }
    notes = [f"{len(config.hidden) + 1} layers, {config.embedding_dim} dimensions; for sv.bin.enhance"]
    loaded = _loaded("embedding_mlp", config, weights, path)
    return Converted(tables=tables, weights={"model": loaded, "criterion": criterion}, notes=notes)


def _exu_net_family(system: str, path: str | Path) -> Converted:
    state = read_state_dict(path, *(["model"] if system == "diff_sv" else []))
    features, extract = LogMelConfig(), SegmentConfig()
    if system == "diff_sv":
        features, extract = DIFF_SV_FEATURES, DIFF_SV_EXTRACT
        state = without_front_end(state, features, path)
    config = infer_config(system, state, path)
    features = replace(features, num_mel_bins=config.num_mel_bins)
    tables = {
        "features": {"type": "log_mel", **to_dict(features)},
        "model": {"type": system, **to_dict(config)},
        "extract": to_dict(extract),
    }
    return Converted(tables=tables, weights={"model": _loaded(system, config, state, path)})


def _loaded(system: str, config: Any, weights: Mapping[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    """The state of a model that took the weights, every name and shape of them."""
    model = MODELS[system][1](config)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: not a checkpoint of {system}: {_first_lines(str(error))}") from error
    return model.state_dict()


def read_state_dict(path: str | Path, *entries: str) -> dict[str, Tensor]:
    """Read a state dict without executing what the file may contain; a `module.` prefix is dropped.

    Parameters
    ----------
    path : path
    entries : str
        Where in a training state the state dict may be; a file that holds the state dict alone will do as well.

    Raises
    ------
    CheckpointError
        If the file does not hold a mapping from names to tensors, and nothing else.
    """
    state = _load(path)
    for entry in entries:
        if isinstance(state, Mapping) and entry in state:
            state = state[entry]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: expected a mapping from parameter names to tensors, got {type(state).__name__}")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _load(path: str | Path) -> Any:
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path}: not a PyTorch checkpoint of tensors only: {_first_lines(str(error))}"
        ) from error


def without_front_end(state: Mapping[str, Tensor], features: LogMelConfig, path: str | Path) -> dict[str, Tensor]:
    """The weights without the front end's buffers, after a check that its mel filters are those of `features`."""
    filters = state.get(f"{FRONT_END}1.mel_scale.fb")  # (bins, mels)
    if filters is not None:
        ours = htk_filters(replace(features, num_mel_bins=filters.shape[-1])).float().T
        if filters.shape != ours.shape or not torch.allclose(filters.float(), ours, atol=1e-4):
            raise CheckpointError(f"{path}: its front end has other mel filters than the published Diff-SV code")
    return {name: value for name, value in state.items() if not name.startswith(FRONT_END)}


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
    if system == "diff_sv":
        return infer_diff_sv(state, channels, blocks, embedding_dim, path)
    config_class = MODELS[system][0]
    bins = MEL_STRIDE * pooled // channels[-1] if system == "exu_net" else config_class().num_mel_bins
    return config_class(num_mel_bins=bins, channels=channels, blocks=blocks, embedding_dim=embedding_dim)


def infer_diff_sv(
    state: Mapping[str, Tensor],
    channels: tuple[int, ...],
    blocks: tuple[int, ...],
    embedding_dim: int,
    path: str | Path,
) -> DiffSVConfig:
    """What Diff-SV's other parts imply; the enhancer's number of heads leaves no trace and is the published one."""
    layers = {name.split(".")[2] for name in state if name.startswith("enhancer.layer_stack.")}
    try:
        return DiffSVConfig(
            num_mel_bins=state["enhancer.spectral.0.weight"].shape[0],
            channels=channels,
            blocks=blocks,
            embedding_dim=embedding_dim,
            enhancer_layers=len(layers),
            enhancer_channels=state["enhancer.layer_stack.0.pos_ffn.w_1.weight"].shape[0],
            score_channels=state["denoiser.model.final_conv.weight"].shape[1],
            sampling=DIFF_SV_SAMPLING,
        )
    except KeyError as error:
        raise CheckpointError(f"{path}: not a checkpoint of diff_sv: it has no {error.args[0]}") from error


def _first_lines(message: str, length: int = 300) -> str:
    shortened = " ".join(message.split())
    return shortened if len(shortened) <= length else f"{shortened[:length]}..."
