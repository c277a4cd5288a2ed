"""One Kaldi object, a vector or matrix of floats, in any of its forms: binary, compressed or text.

The layout is that of Kaldi's src/matrix: NUL, `B`, a token and a space; then sizes, each a byte 4 and an int32 (bare int32
in compressed matrices), and the values, little-endian.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np

from sv.kaldi.scp import DataDirError

_DTYPES = {"FM": "<f4", "DM": "<f8", "FV": "<f4", "DV": "<f8"}
_COMPRESSED = {"CM": "u1", "CM2": "<u2", "CM3": "u1"}
FIXED_RANGES = {4: (-32768, 32767), 6: (0, 255), 7: (0, 1)}  # of values, by compression method
_CHUNK = 1 << 24  # a damaged header may announce terabytes: what is not there is never allocated


@dataclass(frozen=True, kw_only=True)
class Header:
    """Header of a binary record: its type and sizes.

    Attributes
    ----------
    kind : str
        Kaldi's token: FM DM (matrix), FV DV (vector), CM CM2 CM3 (compressed matrix).
    shape : tuple of int
    num_bytes : int
        Of the header itself, from the NUL on.
    payload : int
        Bytes that follow.
    minimum, span : float
        Of the values of a compressed matrix.
    """

    kind: str
    shape: tuple[int, ...]
    num_bytes: int
    payload: int
    minimum: float = 0.0
    span: float = 0.0


def read_exactly(stream: BinaryIO, num_bytes: int, name: str) -> bytes:
    """Read so many bytes from a file or pipe; raises DataDirError if there are fewer."""
    parts, missing = [], num_bytes
    while missing > 0:
        part = stream.read(min(missing, _CHUNK))
        if not part:
            raise DataDirError(f"{name}: the record needs {num_bytes} bytes, the file ends before")
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_header(stream: BinaryIO, name: str, within: bool = False) -> Header:
    """Read a binary record's header; raises DataDirError if none is there. `within` a larger object it has no NUL and B."""
    start = b"\0B" if within else stream.read(2)
    token = bytearray()
    while start == b"\0B" and len(token) < 4 and (byte := stream.read(1)) not in (b"", b" "):
        token += byte
    kind = token.decode("latin-1")
    if kind in _DTYPES:
        num_sizes = 2 if kind.endswith("M") else 1
        sizes = read_exactly(stream, 5 * num_sizes, name)
        if sizes[0::5] == b"\4" * num_sizes:
            shape = tuple(struct.unpack_from("<i", sizes, 1 + 5 * axis)[0] for axis in range(num_sizes))
            payload = int(np.prod(shape)) * np.dtype(_DTYPES[kind]).itemsize
            if _is_possible(shape):
                return Header(kind=kind, shape=shape, num_bytes=5 + 5 * num_sizes, payload=payload)
    elif kind in _COMPRESSED:
        minimum, span, *shape = struct.unpack("<ffii", read_exactly(stream, 16, name))
        payload = int(np.prod(shape)) * np.dtype(_COMPRESSED[kind]).itemsize + (8 * shape[1] if kind == "CM" else 0)
        if _is_possible(shape):
            return Header(
                kind=kind, shape=tuple(shape), num_bytes=19 + len(kind), payload=payload, minimum=minimum, span=span
            )
    raise DataDirError(f"{name}: no float vector or matrix starts there")


def _is_possible(shape: Sequence[int]) -> bool:
    """False for sizes that only a damaged file can have: negative, or rows without columns."""
    return min(shape) >= 0 and (len(shape) == 1 or shape[1] > 0 or shape[0] == 0)


def _decompress(header: Header, payload: bytes) -> np.ndarray:
    """Values of a compressed matrix, float32; the three forms of Kaldi's CompressedMatrix."""
    rows, columns = header.shape
    if header.kind != "CM":
        levels = np.frombuffer(payload, _COMPRESSED[header.kind]).reshape(header.shape).astype(np.float32)
        return header.minimum + levels * np.float32(header.span / (65535 if header.kind == "CM2" else 255))
    # Column by column; a byte is linear between the column's minimum, quartiles and maximum, at levels 0, 64, 192, 255.
    percentiles = np.frombuffer(payload[: 8 * columns], "<u2").reshape(columns, 4).astype(np.float32)
    percentiles = header.minimum + percentiles * np.float32(header.span / 65535)
    levels = np.frombuffer(payload[8 * columns :], np.uint8).reshape(columns, rows).astype(np.float32)
    low, first, third, high = (percentiles[:, i : i + 1] for i in range(4))
    values = np.where(levels <= 64, low + (first - low) * levels / 64, first + (third - first) * (levels - 64) / 128)
    return np.ascontiguousarray(
        np.where(levels <= 192, values, third + (high - third) * (levels - 192) / 63).T, dtype=np.float32
    )


def read_binary(stream: BinaryIO, name: str, within: bool = False) -> np.ndarray:
    """Read a binary record: float32, or float64 where that is what is stored; the array is writable."""
    header = read_header(stream, name, within)
    payload = read_exactly(stream, header.payload, name)
    if header.kind in _COMPRESSED:
        return _decompress(header, payload)
    return np.frombuffer(payload, _DTYPES[header.kind]).reshape(header.shape).copy()


def read_text(stream: BinaryIO, name: str, dtype: type = np.float32, ndim: int | None = None) -> np.ndarray:
    """Read Kaldi's text form, `[ 1 2 ]`, rows ended by line ends or semicolons; the stream is left after the bracket's line.

    Parameters
    ----------
    stream : binary file
    name : str
        Of the record, for errors.
    dtype : NumPy type
    ndim : 1 or 2, optional
        What the reader wants, a vector or a matrix: of a single line both are written alike, and so are empty ones. By default
        a single line is a vector.

    Raises
    ------
    DataDirError
        For rows of different length, what is no number, or no brackets.
    """
    lines: list[bytes] = []
    while not lines or b"]" not in lines[-1]:
        line = stream.readline()
        if not line:
            raise DataDirError(f"{name}: the file ends before the closing bracket")
        lines.append(line)
    opening, bracket, body = b"".join(lines).partition(b"[")
    body, _, rest = body.partition(b"]")
    if opening.strip() or not bracket or rest.strip() or (body and not body[:1].isspace()):
        raise DataDirError(f"{name}: expected numbers in brackets, and a space after the first bracket")
    rows = [row.split() for row in body.replace(b";", b"\n").split(b"\n")]
    if ndim == 1 and len(rows) > 1:
        raise DataDirError(f"{name}: a line end within the brackets; is it a matrix?")
    as_vector = ndim == 1 or (ndim is None and len(rows) == 1)
    rows = rows if as_vector else [row for row in rows if row]
    numbers = [_numbers(row, dtype, name) for row in rows]
    if as_vector:
        return numbers[0]
    for number, row in enumerate(numbers, start=1):
        if len(row) != len(numbers[0]):
            raise DataDirError(f"{name}: row {number} holds {len(row)} numbers, the first {len(numbers[0])}")
    return np.stack(numbers) if numbers else np.zeros((0, 0) if ndim == 2 else 0, dtype)


def _numbers(words: list[bytes], dtype: type, name: str) -> np.ndarray:
    try:
        if any(b"_" in word for word in words):
            raise ValueError("an underscore")
        with np.errstate(over="ignore"):  # as Kaldi does: infinity
            return np.array([float(word) for word in words], dtype)
    except ValueError as error:
        raise DataDirError(f"{name}: expected numbers in brackets ({error})") from error


def write_binary(stream: BinaryIO, array: np.ndarray, within: bool = False) -> None:
    """Write an array as FV, FM (float32), DV or DM (float64); `within` a larger object it gets no NUL and B."""
    kind = ("D" if array.dtype == np.float64 else "F") + ("M" if array.ndim == 2 else "V")
    sizes = b"".join(b"\4" + struct.pack("<i", size) for size in array.shape)
    start = b"" if within else b"\0B"
    stream.write(start + kind.encode() + b" " + sizes + np.ascontiguousarray(array, _DTYPES[kind]).tobytes())


def write_compressed(stream: BinaryIO, array: np.ndarray, method: int) -> None:
    """Write a matrix with one of Kaldi's compression methods: 2 speech feature, 3 two bytes, 5 one byte per value, ...

    Values outside the range of a method with a fixed one (4, 6, 7) are clamped, as in Kaldi; an empty matrix is written empty.
    """
    import kaldiio

    values = np.asarray(array, np.float32)
    if values.size == 0:
        write_binary(stream, values)
        return
    if method in FIXED_RANGES:
        values = values.clip(*FIXED_RANGES[method])
    record = BytesIO()
    kaldiio.save_ark(record, {"x": values}, compression_method=method)
    stream.write(record.getvalue()[2:])


def write_text(stream: BinaryIO, array: np.ndarray) -> None:
    """Write Kaldi's text form; each number with as many digits as bring it back exactly."""
    if array.ndim == 1:
        stream.write(f" [ {' '.join(map(str, array))} ]\n".encode())
        return
    rows = "\n  ".join(" ".join(map(str, row)) + " " for row in array)
    stream.write(f" [\n  {rows}]\n".encode() if len(array) else b" [ ]\n")
