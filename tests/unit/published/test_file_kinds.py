"""Files that are no checkpoint are said for what they are; safetensors are read."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sv.published.checkpoint import CheckpointError, load


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, "content")
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("avg_model.pt"), io.BytesIO(b""))
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), buffer)
    return buffer.getvalue()


# The start of a graph of ONNX: version 7 of its format, then the producer; or the graph itself.
ONNX = (b"\x08\x07\x12\x07pytorch\x1a\x051.8.0:\x10", b"\x08\x0a:\x10\n\x04")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n <!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        (npy(), "an array of NumPy"),
        (gzip.compress(b"x" * 100, mtime=0), "a file compressed by gzip"),
        (tar(), "a tar archive; unpack it first"),
        (ONNX[0], "an ONNX graph"),
        (ONNX[1], "an ONNX graph"),
        (zipped("a.txt", "b.txt"), "a zip archive, not a checkpoint; unpack it$"),
        (zipped("a.txt", "m/avg_model.pt"), "a zip archive, not a checkpoint; unpack it and convert m/avg_model.pt$"),
        (
            zipped("x/__init__.py", "x/weights.ckpt", "x-1.dist-info/METADATA"),
            "a Python wheel, not a checkpoint; unpack it and convert x/weights.ckpt$",
        ),
        (zipped("a.txt")[:-10], "cut short"),
        (script(), "a TorchScript program; convert the checkpoint that it was made from$"),
    ],
)
def test_a_file_of_another_kind_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{said}"):
        load(tmp_path / "x.pt")


def safetensors(entries: dict, values: bytes) -> bytes:
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + values


VALUES = np.arange(6, dtype=np.float32).tobytes() + np.array([7], dtype=np.int64).tobytes() + b"\x80\x3f"
ENTRIES = {
    "__metadata__": {"format": "pt"},
    "fc.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "steps": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
    "half": {"dtype": "BF16", "shape": [1], "data_offsets": [32, 34]},
    "nothing": {"dtype": "F16", "shape": [0, 3], "data_offsets": [34, 34]},
}


def test_safetensors_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(safetensors(ENTRIES, VALUES))
    found = load(tmp_path / "x.safetensors")
    assert found["fc.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (found["steps"].item(), found["half"].item()) == (7, 1.0)
    assert (found["half"].dtype, found["nothing"].shape) == (torch.bfloat16, (0, 3))


def test_a_header_whose_length_looks_like_a_web_page_is_no_web_page(tmp_path: Path) -> None:
    entries = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    text = json.dumps(entries)
    header = text.encode() + b" " * (ord("<") + 256 - len(text))
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    assert load(tmp_path / "x")["w"].tolist() == [0.0]


@pytest.mark.parametrize(
    "change",
    [
        {"data_offsets": [0, 400]},
        {"data_offsets": [-8, 16]},
        {"shape": [2, 4]},
        {"shape": [-2, -3]},
        {"dtype": "F8"},
        {"shape": None},
        {"data_offsets": [24, 0]},
    ],
)
def test_damaged_safetensors_are_said_so(change: dict, tmp_path: Path) -> None:
    entries = {**ENTRIES, "fc.weight": {**ENTRIES["fc.weight"], **change}}
    (tmp_path / "x").write_bytes(safetensors(entries, VALUES))
    with pytest.raises(CheckpointError, match="a safetensors file, but damaged or cut short"):
        load(tmp_path / "x")


@pytest.mark.parametrize("length", [12, 60, 300])
def test_safetensors_that_are_cut_short_are_said_so(length: int, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(safetensors(ENTRIES, VALUES)[:length])
    with pytest.raises(CheckpointError, match="a safetensors file, but damaged or cut short"):
        load(tmp_path / "x")
