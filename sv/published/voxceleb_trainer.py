"""Checkpoints of voxceleb_trainer: which network, which features, which weights.

Three shapes of file: a bare state dict with `__S__.` (network) and `__L__.` (loss) before its names; the same within a
training state (`model_state_dict`), since April 2026; and `{"model": ...}` without those prefixes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sv.features.log_mel import LogMelConfig, htk_filters
from sv.features.segments import SegmentConfig
from sv.models.resnet_se34 import NUM_LEVELS, ResNetSE34LConfig, ResNetSE34V2Config
from sv.models.vggvox import VGGVoxConfig

SYSTEMS = ("resnet_se34l", "resnet_se34v2", "vggvox")
INTEGERS, UNIT = 32768.0, 1.0  # audio was read as 16-bit integers until April 2021, as [-1, 1) since
EVALUATION = SegmentConfig(segment_samples=400 * 160 + 240, scheme="even_padded", num_segments=10)
NETWORK, LOSS, FRONT_END = "__S__.", "__L__.", "torchfb."
FILTER_TOLERANCE = 1e-4  # of the mel matrix, which the file holds in single precision


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a checkpoint says.

    Attributes
    ----------
    features : LogMelConfig
    model : dataclass
        Of `sv.models.MODELS`.
    weights : dict of str to torch.Tensor
        By our model's names.
    criterion : dict of str to torch.Tensor
        The loss's, as named in the file without its prefix.
    """

    features: LogMelConfig
    model: Any
    weights: dict[str, Tensor]
    criterion: dict[str, Tensor]


def read_published(system: str, content: Mapping[str, Any], input_scale: float | None = None) -> Published:
    """Interpret the content of a checkpoint.

    Parameters
    ----------
    system : {"resnet_se34l", "resnet_se34v2", "vggvox"}
    content : mapping
        What torch.load returned.
    input_scale : float, optional
        Of the audio that the network was trained on: 32768 or 1. Known if the file is a training state (1), or its
        window a Hann window (32768), else to be given: the same names were saved before and after the change.

    Raises
    ------
    ValueError
        If the content is none of the three shapes, a name is missing, or the window or mel matrix is not a known one.
    """
    state, is_training_state = unpacked(content)
    unknown = [name for name in state if not name.startswith((NETWORK, LOSS))]
    if unknown:
        raise ValueError(f"{len(unknown)} names are neither of the network nor of the loss, e.g. {unknown[:3]}")
    network = {name.removeprefix(NETWORK): value for name, value in state.items() if name.startswith(NETWORK)}
    front_end = {name: value for name, value in network.items() if name.startswith(FRONT_END)}
    weights = {name: value for name, value in network.items() if name not in front_end}
    try:
        model = infer_model(system, weights)
        features = infer_features(front_end, input_scale, is_training_state=is_training_state)
    except KeyError as error:
        raise ValueError(f"not a checkpoint of {system}: it has no {error.args[0]}") from error
    if isinstance(model, ResNetSE34LConfig):  # which averages over mels: they leave no trace in its weights
        model = replace(model, num_mel_bins=features.num_mel_bins)
    bins = model.num_mel_bins, features.num_mel_bins
    if bins[0] != bins[1]:
        raise ValueError(f"not a checkpoint of {system}: it reads {bins[0]} mels, its front end makes {bins[1]}")
    return Published(
        features=features,
        model=model,
        weights=weights,
        criterion={name.removeprefix(LOSS): value for name, value in state.items() if name.startswith(LOSS)},
    )


def unpacked(content: Mapping[str, Any]) -> tuple[dict[str, Tensor], bool]:
    """The state dict within any of the three shapes, names prefixed; and whether it was a training state."""
    state, is_training_state = content, "model_state_dict" in content
    if is_training_state:
        state = content["model_state_dict"]
    elif isinstance(content.get("model"), Mapping):
        state = {f"{NETWORK}{name}": value for name, value in content["model"].items()}
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError("expected a mapping from parameter names to tensors, alone or as model_state_dict or model")
    return {name.replace("module.", ""): value for name, value in state.items()}, is_training_state


def infer_model(system: str, weights: Mapping[str, Tensor]) -> Any:
    """The model config that the shapes imply; raises KeyError with the name of a missing tensor."""
    embedding_dim, pooled = weights["fc.weight"].shape
    if system == "vggvox":
        if "sap_linear.weight" not in weights:
            raise ValueError("pooled by mean or by maximum: the weights do not tell which; only SAP can be converted")
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


def infer_features(
    front_end: Mapping[str, Tensor], input_scale: float | None, *, is_training_state: bool
) -> LogMelConfig:
    """The features that the front end's buffers describe; raises KeyError with the name of a missing one."""
    names = {re.sub(rf"^{re.escape(FRONT_END)}(\d+\.)?", "", name): value for name, value in front_end.items()}
    expected = ("spectrogram.window", "mel_scale.fb")
    for name in expected:
        if name not in names:
            raise KeyError(f"{FRONT_END}{name}")
    emphasis = names.pop("flipped_filter", None)
    if additional := sorted(set(names) - set(expected)):
        raise ValueError(f"the front end holds more than a known one: {additional}")
    window = window_name(names["spectrogram.window"])
    if input_scale is None:
        if not is_training_state and window == "hamming":
            raise ValueError(
                "the file does not tell whether the network was trained on 16-bit integers or on [-1, 1): give "
                "--input-scale 32768 (baseline_lite_ap, baseline_v2_ap) or 1 (baseline_v2_smproto, your own since April 2021)"
            )
        input_scale = UNIT if is_training_state else INTEGERS
    config = LogMelConfig(
        num_mel_bins=names["mel_scale.fb"].shape[1],
        n_fft=512,
        pre_emphasis=0.0 if emphasis is None else -round(float(emphasis.flatten()[0]), 6),
        keep_length=True,
        window=window,
        input_scale=input_scale,
    )
    filters = htk_filters(config).T.float()
    found = names["mel_scale.fb"].float()
    if found.shape != filters.shape or not torch.allclose(found, filters, rtol=0, atol=FILTER_TOLERANCE):
        raise ValueError(
            f"its mel matrix {tuple(found.shape)} is not that of {filters.shape[1]} HTK filters up to 8 kHz"
        )
    return config


def window_name(window: Tensor) -> str:
    """Which window the file holds: Hamming since August 2020, Hann before."""
    for name, make in (("hamming", torch.hamming_window), ("hann", torch.hann_window)):
        if window.shape == (400,) and torch.allclose(window.float(), make(400), rtol=0, atol=1e-5):
            return name
    raise ValueError(f"its window, {tuple(window.shape)}, is neither Hamming nor Hann of 400 samples")
