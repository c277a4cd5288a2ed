"""Kaldi's files of one object each, binary or text: a vector, a matrix, a PLDA model."""

import struct
from pathlib import Path

import numpy as np

from sv.files import atomic_write
from sv.kaldi.scp import DataDirError

BINARY = b"\0B"
_TYPES = {b"FV ": ("<f4", 1), b"DV ": ("<f8", 1), b"FM ": ("<f4", 2), b"DM ": ("<f8", 2)}  # and number of axes


class _Reader:
    """Takes tokens and arrays off the front of a file's bytes."""

    def __init__(self, path: str | Path) -> None:
        self.path, self.rest = path, Path(path).read_bytes()
        self.is_binary = self.rest.startswith(BINARY)
        if self.is_binary:
            self.rest = self.rest[len(BINARY) :]

    def token(self, expected: str) -> None:
        """Take `expected` and the space after it; DataDirError if it is not there."""
        found, _, rest = self.rest.lstrip(b"" if self.is_binary else b" \n").partition(b" ")
        if found != expected.encode():
            raise DataDirError(f"{self.path}: expected Kaldi's {expected!r}, got {found[:20]!r}")
        self.rest = rest

    def array(self, ndim: int) -> np.ndarray:
        """Take a vector or a matrix, as float64."""
        try:
            array = self._binary_array(ndim) if self.is_binary else self._text_array(ndim)
        except (ValueError, KeyError, struct.error) as error:
            what = ("vector", "matrix")[ndim - 1]
            raise DataDirError(f"{self.path}: not a whole Kaldi {what} where one is expected") from error
        if not np.isfinite(array).all():
            raise DataDirError(f"{self.path}: holds NaN or infinity")
        return array

    def _binary_array(self, ndim: int) -> np.ndarray:
        dtype, found_ndim = _TYPES[self.rest[:3]]
        if found_ndim != ndim:
            raise ValueError
        shape = [struct.unpack_from("<i", self.rest, 4 + 5 * axis)[0] for axis in range(ndim)]
        start, count = 3 + 5 * ndim, int(np.prod(shape))
        array = np.frombuffer(self.rest, dtype, count, start).astype(np.float64).reshape(shape)
        self.rest = self.rest[start + count * np.dtype(dtype).itemsize :]
        return array

    def _text_array(self, ndim: int) -> np.ndarray:
        before, opening, rest = self.rest.partition(b"[")
        inside, closing, self.rest = rest.partition(b"]")
        if before.strip() or not opening or not closing:
            raise ValueError
        rows = [[float(value) for value in line.split()] for line in inside.splitlines() if line.strip()]
        if not rows or (ndim == 1 and len(rows) > 1):
            raise ValueError
        return np.array(rows if ndim == 2 else rows[0], dtype=np.float64)

    def end(self) -> None:
        """Raise DataDirError if anything is left."""
        if self.rest.strip(b" \n"):
            raise DataDirError(f"{self.path}: there is more in the file than one object")


def read_vector_file(path: str | Path) -> np.ndarray:
    """Read a vector, such as Kaldi's mean.vec, (dim,) float64; raises DataDirError naming the file."""
    reader = _Reader(path)
    vector = reader.array(1)
    reader.end()
    return vector


def read_matrix_file(path: str | Path) -> np.ndarray:
    """Read a matrix, such as Kaldi's transform.mat, (rows, columns) float64; raises DataDirError naming the file."""
    reader = _Reader(path)
    matrix = reader.array(2)
    reader.end()
    return matrix


def read_plda(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read a PLDA model: mean (dim,), transform (dim, dim) and psi (dim,); raises DataDirError naming the file."""
    reader = _Reader(path)
    reader.token("<Plda>")
    mean, transform, psi = reader.array(1), reader.array(2), reader.array(1)
    reader.token("</Plda>")
    reader.end()
    return mean, transform, psi


def _encode(array: np.ndarray, text: bool) -> bytes:
    if not np.isfinite(array).all():
        raise ValueError("holds NaN or infinity")
    if text:
        rows = [" ".join(f"{value:.7g}" for value in row) for row in np.atleast_2d(array)]
        return (
            f" [ {rows[0]} ]\n" if array.ndim == 1 else " [" + "".join(f"\n  {row} " for row in rows) + "]\n"
        ).encode()
    kind = {4: b"F", 8: b"D"}[array.itemsize] + (b"V " if array.ndim == 1 else b"M ")
    sizes = b"".join(struct.pack("<bi", 4, size) for size in array.shape)
    return kind + sizes + np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def write_array_file(path: str | Path, array: np.ndarray, text: bool = False) -> None:
    """Write a float32 vector or matrix as Kaldi does, whole or not at all; text keeps seven digits."""
    with atomic_write(path, "wb") as file:
        file.write((b"" if text else BINARY) + _encode(np.asarray(array, dtype=np.float32), text))


def write_plda(path: str | Path, mean: np.ndarray, transform: np.ndarray, psi: np.ndarray, text: bool = False) -> None:
    """Write a PLDA model as Kaldi does, in float64, whole or not at all; text keeps seven digits."""
    arrays = b"".join(_encode(np.asarray(array, dtype=np.float64), text) for array in (mean, transform, psi))
    with atomic_write(path, "wb") as file:
        file.write((b"" if text else BINARY) + b"<Plda> " + arrays + b"</Plda> ")
