"""Tiny models of every kind that `--model` takes, and recordings."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sv.system.config import load_system
from sv.system.folder import build_model, write_system

SYSTEM = """
[features]
type = "log_mel"
num_mel_bins = 16
[model]
type = "exu_net"
num_mel_bins = 16
channels = [4, 8, 8, 16]
blocks = [1, 1, 1, 1]
embedding_dim = 12
[extract]
segment_samples = 4000
batch_size = 4
"""
LENGTHS = {"a": 9000, "b": 21_000, "c": 40_000}


@pytest.fixture(scope="session")
def voices(tmp_path_factory) -> Path:
    """Holds model/, a model folder, and a.wav, b.wav, c.wav of 16 bits at 16 kHz; read only."""
    folder = tmp_path_factory.mktemp("voices")
    (folder / "tiny.toml").write_text(SYSTEM)
    torch.manual_seed(0)
    system = load_system(folder / "tiny.toml")
    write_system(folder / "model", system)
    (folder / "model" / "checkpoints").mkdir()
    torch.save({"model": build_model(system).state_dict()}, folder / "model" / "checkpoints" / "best.pt")
    rng = np.random.default_rng(0)
    for name, length in LENGTHS.items():
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.normal(size=length), 16_000, subtype="PCM_16")
    return folder


# ONNX files are protocol buffers; these are written by hand, so that the tests need no package to make them.
def _field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    digits = b""
    while value >= 128:
        digits, value = digits + bytes([value % 128 + 128]), value // 128
    return digits + bytes([value])


def _node(
    kind: str, inputs: str, output: str, axes: int | None = None, keep: int = 1, axis: int | None = None
) -> bytes:
    node = b"".join(_field(1, name) for name in inputs.split()) + _field(2, output) + _field(4, kind)
    if axes is not None:
        node += _field(5, _field(1, "axes") + _field(8, axes) + _field(20, 7))
        node += _field(5, _field(1, "keepdims") + _field(3, keep) + _field(20, 2))
    if axis is not None:
        node += _field(5, _field(1, "axis") + _field(3, axis) + _field(20, 2))
    return _field(1, node)


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    axes = b"".join(_field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, axes)))


POWERS = b"".join(
    (
        _node("Mul", "x x", "x2"),
        _node("Mul", "x x2", "x3"),
        *(_node("ReduceMean", name, f"m{name}", axes=1) for name in ("x", "x2", "x3")),
        _node("Concat", "mx mx2 mx3", "powers", axis=1),
    )
)
GRAPHS = {
    # (batch, frames, mels) to (batch, mels): means over the frames
    "bands": (_node("ReduceMean", "x", "y", axes=1, keep=0), ("batch", "frames", "mels")),
    # (batch, samples) to (batch, 3): means of the first three powers
    "powers": (POWERS + _node("Identity", "powers", "y"), ("batch", "samples")),
    # as that, and their mean over the batch added, as a norm in training mode would
    "of_the_batch": (
        POWERS + _node("ReduceMean", "powers", "mean", axes=0) + _node("Add", "powers mean", "y"),
        ("batch", "samples"),
    ),
}


@pytest.fixture(scope="session")
def export_onnx() -> Callable[..., Path]:
    """export_onnx(path, graph, fixed axes, **description lines): an ONNX file, and its description if there are lines."""
    pytest.importorskip("onnxruntime")

    def export(path: Path, name: str, fixed: tuple[int, ...] | None = None, **description: object) -> Path:
        nodes, shape = GRAPHS[name]
        ends = _field(11, _value("x", fixed or shape)) + _field(12, _value("y", ("rows", "columns")))
        model = _field(1, 8) + _field(7, nodes + _field(2, name) + ends) + _field(8, _field(1, "") + _field(2, 13))
        path.write_bytes(model)
        if description:
            lines = [f"{key} = {value}\n" for key, value in description.items()]
            path.with_name(f"{path.name}.toml").write_text("".join(lines))
        return path

    return export
