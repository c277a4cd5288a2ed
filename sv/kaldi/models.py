"""Kaldi's files of one object each, binary or text: a vector, a matrix, a PLDA model."""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from sv.base.files import atomic_write
from sv.kaldi.ark import read_object
from sv.kaldi.record import read_binary, read_text, write_binary, write_text
from sv.kaldi.scp import DataDirError

BINARY = b"\0B"


def _checked(array: np.ndarray, ndim: int, path: str | Path) -> np.ndarray:
    if array.ndim != ndim or not array.size:
        raise DataDirError(f"{path}: expected a Kaldi {('vector', 'matrix')[ndim - 1]}, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise DataDirError(f"{path}: holds NaN or infinity")
    return array.astype(np.float64)


def _check_end(stream: BinaryIO, path: str | Path) -> None:
    if stream.read().strip():
        raise DataDirError(f"{path}: there is more in the file than one object")


def _read_file(path: str | Path, ndim: int) -> np.ndarray:
    with Path(path).open("rb") as stream:
        array = _checked(read_object(stream, str(path), ndim), ndim, path)
        _check_end(stream, path)
    return array


def read_vector_file(path: str | Path) -> np.ndarray:
    """Read a vector, such as Kaldi's mean.vec, (dim,) float64; raises DataDirError naming the file."""
    return _read_file(path, 1)


def read_matrix_file(path: str | Path) -> np.ndarray:
    """Read a matrix, such as Kaldi's transform.mat, (rows, columns) float64; raises DataDirError naming the file."""
    return _read_file(path, 2)


def _expect_token(stream: BinaryIO, token: bytes, path: str | Path) -> None:
    if (found := stream.read(len(token))) != token:
        raise DataDirError(f"{path}: expected {token.decode()!r} of a Kaldi PLDA model, got {found!r}")


def read_plda(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read a PLDA model: mean (dim,), transform (dim, dim) and psi (dim,), float64; raises DataDirError naming the file."""
    with Path(path).open("rb") as stream:
        is_binary = stream.peek(2)[:2] == BINARY
        _expect_token(stream, (BINARY if is_binary else b"") + b"<Plda> ", path)
        mean, transform, psi = (
            _checked(
                read_binary(stream, str(path), within=True)
                if is_binary
                else read_text(stream, str(path), np.float64, ndim),
                ndim,
                path,
            )
            for ndim in (1, 2, 1)
        )
        _expect_token(stream, b"</Plda> ", path)
        _check_end(stream, path)
    return mean, transform, psi


def _check_finite(array: np.ndarray, path: str | Path) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: would hold NaN or infinity")


def write_array_file(path: str | Path, array: np.ndarray, text: bool = False) -> None:
    """Write a float32 vector or matrix as Kaldi does, whole or not at all."""
    _check_finite(array, path)
    with atomic_write(path, "wb") as stream:
        (write_text if text else write_binary)(stream, np.asarray(array, dtype=np.float32))


def write_plda(path: str | Path, mean: np.ndarray, transform: np.ndarray, psi: np.ndarray, text: bool = False) -> None:
    """Write a PLDA model as Kaldi does, in float64, whole or not at all."""
    with atomic_write(path, "wb") as stream:
        stream.write((b"" if text else BINARY) + b"<Plda> ")
        for array in (mean, transform, psi):
            _check_finite(array, path)
            array = np.asarray(array, dtype=np.float64)
            write_text(stream, array) if text else write_binary(stream, array, within=True)
        stream.write(b"</Plda> ")
