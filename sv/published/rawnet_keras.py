"""RawNet1's published Keras weights to our configuration and parameter names."""

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from sv.models.rawnet1 import RawNet1, RawNet1Config
from sv.published.rawnet import Published, PublishedError

EXTRACT = {"scheme": "whole", "segment_samples": 2188}  # the least that makes a frame, pre-emphasised
FIRST_NORM = r"batch_normalization(_\d+)?"  # the one layer without a name of its own
UNUSED = ("gru_s_bs_loss/kernel", "gru_c_loss/centers")
NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
LAYERS = (
    (
        r"res_conv_block_(\d+)_(Conv|BN)([12])",
        lambda found: f"trunk.blocks.{int(found[1]) - 1}.{found[2].lower()}{found[3]}",
    ),
    (r"res_conv_block_(\d+)_transform", lambda found: f"trunk.blocks.{int(found[1]) - 1}.downsample.0"),
    (r"res_conv_block_(\d+)_BN_transform", lambda found: f"trunk.blocks.{int(found[1]) - 1}.downsample.1"),
    (r"strided_conv", "trunk.strided_conv"),
    (FIRST_NORM, "trunk.bn"),
    (r"gru_0", "gru"),
    (r"gru_dense_0", "fc"),
    (r"gru_BN_0", "bn_fc"),
)
GRU = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias"}


def from_keras(datasets: Mapping[str, np.ndarray]) -> Published:
    """Translate the datasets of a weights file, whose paths are `<layer>/<layer>/<weight>:0`.

    Raises
    ------
    PublishedError
        Naming what is missing, unknown or of another shape, by its published name.
    """
    weights = {}
    for path, values in datasets.items():
        layer, _, name = path.removesuffix(":0").rpartition("/")
        weights[f"{layer.rpartition('/')[2]}/{name}"] = values
    try:
        config = _config(weights)
    except KeyError as error:
        raise PublishedError(f"not a checkpoint of rawnet1: it has no {error.args[0]}") from error
    ours = {
        our_name(name): (name, torch.from_numpy(_turned(values)))
        for name, values in weights.items()
        if name not in UNUSED
    }
    wanted = {
        name: value for name, value in RawNet1(config).state_dict().items() if not name.endswith("num_batches_tracked")
    }
    problems = _problems(ours, wanted)
    if problems:
        raise PublishedError(f"not a checkpoint of rawnet1: {'; '.join(problems)}")
    counters = {name: torch.tensor(0) for name in RawNet1(config).state_dict() if name.endswith("num_batches_tracked")}
    head = weights.get(UNUSED[0])
    num_speakers = 0 if head is None else head.shape[1]
    return Published(
        model_type="rawnet1",
        config=config,
        state={name: value for name, (_, value) in ours.items()} | counters,
        num_speakers=num_speakers,
        notes=[f"classifier of {num_speakers} speakers: not kept"] if num_speakers else [],
    )


def our_name(name: str) -> str:
    """Our name of `<layer>/<weight>`; the name itself if there is none."""
    layer, _, weight = name.rpartition("/")
    for pattern, replacement in LAYERS:
        found = re.fullmatch(pattern, layer)
        if found:
            prefix = replacement if isinstance(replacement, str) else replacement(found)
            names = GRU if prefix == "gru" else {"kernel": "weight", "bias": "bias"} if not _is_norm(prefix) else NORM
            return f"{prefix}.{names.get(weight, weight)}"
    return name


def _is_norm(prefix: str) -> bool:
    return prefix.endswith("downsample.1") or prefix.rpartition(".")[2].startswith("bn")


def _turned(values: np.ndarray) -> np.ndarray:
    """Keras has outputs last, PyTorch first."""
    return np.array(values.T, dtype=np.float32, order="C")


def _config(weights: Mapping[str, np.ndarray]) -> RawNet1Config:
    channels = []
    while (key := f"res_conv_block_{len(channels) + 1}_Conv1/kernel") in weights:
        channels.append(weights[key].shape[-1])
    if not channels:
        raise KeyError(key)
    return RawNet1Config(
        channels=tuple(channels),
        gru_dim=weights["gru_0/recurrent_kernel"].shape[0],
        embedding_dim=weights["gru_dense_0/kernel"].shape[-1],
    )


def _problems(ours: Mapping[str, tuple[str, Tensor]], wanted: Mapping[str, Tensor]) -> list[str]:
    missing = sorted(wanted.keys() - ours.keys())
    unknown = sorted(ours[name][0] for name in ours.keys() - wanted.keys())
    shapes = [
        f"{ours[name][0]} is {tuple(ours[name][1].shape)} turned, not {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in ours and ours[name][1].shape != value.shape
    ]
    found = (("missing, by our names:", missing), ("unknown:", unknown), ("shapes:", shapes))
    return [f"{what} {', '.join(names[:4])}" for what, names in found if names]
