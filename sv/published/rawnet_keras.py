"""Checkpoints of RawNet1's published Keras code: an .h5 file of weights."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sv.base.packages import lacking
from sv.models.rawnet.rawnet1 import RawNet1, RawNet1Config
from sv.published.checkpoint import CheckpointError, Converted, Reader, load_strictly
from sv.published.containers import Source
from sv.published.file_kinds import failed_download, head_of
from sv.published.rawnet import converted

SYSTEM = "rawnet1"
MAX_BYTES = 2**28  # of all arrays; the published network has 23 MB
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


def load_keras(path: str | Path) -> dict[str, Tensor]:
    """Read an .h5 file of weights: by `<layer>/<weight>`, in Keras' order of axes."""
    weights = {}
    for name, values in read_datasets(path).items():  # <layer>/<layer>/<weight>:0
        layer, _, weight = name.removesuffix(":0").rpartition("/")
        weights[f"{layer.rpartition('/')[2]}/{weight}"] = torch.from_numpy(values)
    return weights


def translate_keras(source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate what `load_keras` reads."""
    return translate({name: values.numpy() for name, values in source.weights.items()})


def read_datasets(path: str | Path) -> dict[str, np.ndarray]:
    """Read every dataset of floats of an HDF5 file: its path within the file, without leading slash, to its values.

    Only what the file itself holds is read: links to other files are not followed, values in other files are refused.

    Raises
    ------
    CheckpointError
        If h5py is not installed, or cannot read the file.
    """
    if problem := lacking("a .h5 file of Keras", "keras", "h5py"):
        raise CheckpointError(problem)
    import h5py

    if what := failed_download(head_of(path)):
        raise CheckpointError(what)
    if not h5py.is_hdf5(path):
        raise CheckpointError("not an HDF5 file")
    try:
        with Path(path).open("rb") as file, h5py.File(file, "r") as content:
            return _arrays(content)
    except CheckpointError:
        raise
    except Exception as error:  # OSError, KeyError, RuntimeError, TypeError, ... of a damaged file
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(f"an HDF5 file, but damaged or cut short ({reason})") from error


def _arrays(content: Any) -> dict[str, np.ndarray]:
    """Datasets of floats of an open h5py file."""
    names: list[str] = []
    content.visit(lambda name: names.append(str(name)))  # follows no soft or external links
    items = {name: content[name] for name in names}
    floats = {
        name: item
        for name, item in items.items()
        if getattr(item, "shape", None) is not None and item.dtype.kind == "f"
    }
    for name, item in floats.items():
        if item.external or item.is_virtual:
            raise CheckpointError(f"{name}: its values are in another file, which is not read")
    if (size := sum(item.nbytes for item in floats.values())) > MAX_BYTES:
        raise CheckpointError(f"{size} bytes of weights, more than any rawnet1 has")
    return {name: np.asarray(item[()]) for name, item in floats.items()}


def translate(weights: Mapping[str, np.ndarray]) -> Converted:
    """Translate arrays by `<layer>/<weight>` into our names.

    Raises
    ------
    CheckpointError
        Naming what is missing, unknown or of another shape (PyTorch's, outputs first), by its published name.
    KeyError
        With the name of a weight without which the sizes are not known.
    """
    config = _config(weights)
    model = RawNet1(config)
    state = {name: torch.from_numpy(_turned(values)) for name, values in weights.items() if name not in UNUSED}
    published = {our_name(name): name for name in state}
    names = {ours: published.get(ours, f"{ours} (our name)") for ours in model.state_dict()}
    loaded = load_strictly(SYSTEM, model, state, names).state_dict()
    head = weights.get(UNUSED[0])
    return converted(
        SYSTEM,
        config,
        {name: loaded[name] for name in (*published, *loaded)},  # in the file's order, as ever
        0 if head is None else head.shape[1],
        EXTRACT,
    )


def our_name(name: str) -> str:
    """Rename `<layer>/<weight>` to ours; a name that is not RawNet1's stays."""
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


SYSTEMS = {SYSTEM: Reader(translate=translate_keras, load=load_keras)}
