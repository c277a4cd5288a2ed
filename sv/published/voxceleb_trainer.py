"""Checkpoints of voxceleb_trainer: ResNetSE34L, ResNetSE34V2 and VGGVox, with their losses and front ends.

Three shapes of file: a bare state dict with `__S__.` (network) and `__L__.` (loss) before its names; the same within a
training state (`model_state_dict`), since April 2026; and `{"model": ...}` without those prefixes.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sv.base.config import to_dict
from sv.features.log_mel import LogMelConfig, htk_filters
from sv.features.segments import SegmentConfig
from sv.models import MODELS
from sv.models.resnet import NUM_LEVELS
from sv.models.resnet_se34 import ResNetSE34LConfig, ResNetSE34V2Config
from sv.models.vggvox import VGGVoxConfig
from sv.published.checkpoint import INPUT_SCALE, INTEGERS, UNIT, CheckpointError, Converted, Reader, load_strictly
from sv.published.containers import Source

EVALUATION = SegmentConfig(segment_samples=400 * 160 + 240, scheme="even_padded", num_segments=10)
NETWORK, LOSS, FRONT_END = "__S__.", "__L__.", "torchfb."
WINDOW, MELS = "spectrogram.window", "mel_scale.fb"
FILTER_TOLERANCE = 1e-4  # of the mel matrix, which the file holds in single precision


def translate_voxceleb_trainer(system: str, source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate a checkpoint of any of the three shapes.

    Parameters
    ----------
    system : {"resnet_se34l", "resnet_se34v2", "vggvox"}
    source : Source
    options : mapping
        `input_scale`, of the audio that the network was trained on: 32768 or 1. Known if the file is a training state
        (1), or its window a Hann window (32768), else to be given: audio was read as 16-bit integers until April 2021, as
        [-1, 1) since, and the same names were saved before and after the change.

    Raises
    ------
    CheckpointError
        If the content is none of the three shapes, or the window or mel matrix is not a known one.
    KeyError
        With the name of a missing parameter.
    """
    if source.left_out:  # the network's names and the loss's are read together, or not at all
        raise CheckpointError(f"{len(source.left_out)} names are of neither shape, e.g. {source.left_out[0]}")
    state = prefixed(source.weights)
    is_training_state = isinstance(source.content, Mapping) and "model_state_dict" in source.content
    network, criterion = under(NETWORK, state), under(LOSS, state)
    front_end = under(FRONT_END, network)
    weights = {name: value for name, value in network.items() if not name.startswith(FRONT_END)}
    config = model_config(system, weights)
    features = features_config(front_end, options["input_scale"], is_training_state=is_training_state)
    if isinstance(config, ResNetSE34LConfig):  # which averages over mels: they leave no trace in its weights
        config = replace(config, num_mel_bins=features.num_mel_bins)
    if (reads := config.num_mel_bins) != (makes := features.num_mel_bins):
        raise CheckpointError(f"not a checkpoint of {system}: it reads {reads} mels, its front end makes {makes}")
    tables = {
        "features": {"type": "log_mel", **to_dict(features)},
        "model": {"type": system, **to_dict(config)},
        "extract": to_dict(EVALUATION),
    }
    notes = [
        f"{features.num_mel_bins} mels, {features.window} window, audio times {features.input_scale:g}",
        f"loss: {', '.join(criterion) or 'none'} (kept in checkpoints/best.pt)",
    ]
    loaded = load_strictly(system, MODELS[system][1](config), weights).state_dict()
    return Converted(tables=tables, weights={"model": loaded, "criterion": criterion}, notes=notes)


def under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Select the entries whose names begin with `prefix`, which is dropped."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def prefixed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names with the prefixes of the older shapes; those of the newest, which has none, are the network's."""
    state = {name.replace("module.", ""): value for name, value in weights.items()}
    if not any(name.startswith((NETWORK, LOSS)) for name in state):
        return {f"{NETWORK}{name}": value for name, value in state.items()}
    if unknown := [name for name in state if not name.startswith((NETWORK, LOSS))]:
        raise CheckpointError(f"{len(unknown)} names are neither of the network nor of the loss, e.g. {unknown[:3]}")
    return state


def model_config(system: str, weights: Mapping[str, Tensor]) -> Any:
    """The model config that the shapes imply; raises KeyError with the name of a missing parameter."""
    embedding_dim, pooled = weights["fc.weight"].shape
    if system == "vggvox":
        if "sap_linear.weight" not in weights:
            raise CheckpointError(
                "pooled by mean or by maximum: the weights do not tell which; only SAP can be converted"
            )
        return VGGVoxConfig(embedding_dim=embedding_dim)
    levels = [f"layer{number}" for number in range(1, NUM_LEVELS + 1)]
    channels = tuple(weights[f"{level}.0.conv1.weight"].shape[0] for level in levels)
    blocks = tuple(len({name.split(".")[1] for name in weights if name.startswith(f"{level}.")}) for level in levels)
    common = {"channels": channels, "blocks": blocks, "embedding_dim": embedding_dim}
    if system == "resnet_se34l":
        width = weights["sap_linear.weight"].shape[0]
        return ResNetSE34LConfig(pooling="mean" if pooled == width else "statistics", **common)
    width = weights["attention.0.weight"].shape[1]
    bins = width * 8 // channels[-1]
    return ResNetSE34V2Config(num_mel_bins=bins, pooling="mean" if pooled == width else "statistics", **common)


def features_config(
    front_end: Mapping[str, Tensor], input_scale: float | None, *, is_training_state: bool
) -> LogMelConfig:
    """The features that the front end's buffers describe; raises KeyError with the name of a missing one."""
    names = {re.sub(r"^\d+\.", "", name): value for name, value in front_end.items()}
    emphasis = names.pop("flipped_filter", None)
    for name in (WINDOW, MELS):
        if name not in names:
            raise KeyError(f"{FRONT_END}{name}")
    if additional := sorted(set(names) - {WINDOW, MELS}):
        raise CheckpointError(f"the front end holds more than a known one: {additional}")
    window = window_name(names[WINDOW])
    if input_scale is None:
        if not is_training_state and window == "hamming":
            raise CheckpointError(
                "the file does not tell whether the network was trained on 16-bit integers or on [-1, 1): give "
                "--input-scale 32768 (baseline_lite_ap, baseline_v2_ap) or 1 (baseline_v2_smproto, your own since April 2021)"
            )
        input_scale = UNIT if is_training_state else INTEGERS
    config = LogMelConfig(
        num_mel_bins=names[MELS].shape[1],
        n_fft=512,
        pre_emphasis=0.0 if emphasis is None else -round(float(emphasis.flatten()[0]), 6),
        keep_length=True,
        window=window,
        input_scale=input_scale,
    )
    filters = htk_filters(config).T.float()
    found = names[MELS].float()
    if found.shape != filters.shape or not torch.allclose(found, filters, rtol=0, atol=FILTER_TOLERANCE):
        raise CheckpointError(
            f"its mel matrix {tuple(found.shape)} is not that of {filters.shape[1]} HTK filters up to 8 kHz"
        )
    return config


def window_name(window: Tensor) -> str:
    """Name of the window: Hamming since August 2020, Hann before."""
    for name, make in (("hamming", torch.hamming_window), ("hann", torch.hann_window)):
        if window.shape == (400,) and torch.allclose(window.float(), make(400), rtol=0, atol=1e-5):
            return name
    raise CheckpointError(f"its window, {tuple(window.shape)}, is neither Hamming nor Hann of 400 samples")


SYSTEMS = {
    system: Reader(translate=partial(translate_voxceleb_trainer, system), options={"input_scale": INPUT_SCALE})
    for system in ("resnet_se34l", "resnet_se34v2", "vggvox")
}
