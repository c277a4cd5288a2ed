"""Kaldi archives of float vectors and matrices: written whole, read by key or in order."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sv.base.files import open_new, refuse_other, sync, write_error
from sv.kaldi.record import read_binary, read_header, read_text, write_binary, write_compressed
from sv.kaldi.scp import DataDirError, byte_order, check_key, check_value, read_scp

Write = Callable[[str, np.ndarray], None]


@contextmanager
def open_ark_scp(ark: str | Path, scp: str | Path, compression_method: int | None = None) -> Iterator[Write]:
    """Yield write(key, array); publish both files, the scp last, only if the block succeeds.

    Parameters
    ----------
    ark, scp : path
        The scp holds the ark's path as given: give an absolute one if it is to be read from elsewhere.
    compression_method : int, optional
        Kaldi's compression of matrices; 3 (two bytes a value) keeps features to about 2e-4 of their range.

    Raises
    ------
    ValueError
        For keys out of byte order or repeated, and for arrays with NaN or infinity, naming the key; for an ark whose name
        no line of an scp can hold.
    OSError
        When the disk is full, naming the file; nothing is left behind.
    """
    check_value(str(ark), scp)
    ark, scp = Path(ark), Path(scp)
    ark.parent.mkdir(parents=True, exist_ok=True)
    scp.parent.mkdir(parents=True, exist_ok=True)
    ark_tmp, scp_tmp = Path(f"{ark}.tmp"), Path(f"{scp}.tmp")
    try:
        with open_new(ark_tmp, "wb") as ark_file, open_new(scp_tmp) as scp_file:
            last = ""

            def write(key: str, array: np.ndarray) -> None:
                nonlocal last
                check_key(key, scp)
                if byte_order(key) <= byte_order(last):
                    raise ValueError(f"{scp}: key {key!r} after {last!r}; write in byte order, once each")
                array = np.asarray(array, dtype=np.float32)
                if not np.isfinite(array).all():
                    raise ValueError(f"{scp}: {key!r} holds NaN or infinity")
                scp_file.write(f"{key} {ark}:{ark_file.tell() + len(key.encode()) + 1}\n")
                ark_file.write(key.encode() + b" ")
                if compression_method is None or array.ndim == 1:
                    write_binary(ark_file, array)
                else:
                    write_compressed(ark_file, array, compression_method)
                last = key

            yield write
            sync(ark_file)
            sync(scp_file)
            refuse_other(ark_file, ark_tmp)
            refuse_other(scp_file, scp_tmp)
        scp.unlink(missing_ok=True)  # an old scp must never stand beside the new ark
        ark_tmp.replace(ark)
        scp_tmp.replace(scp)
    except OSError as error:
        raise write_error(error, ark, ark_tmp) from error
    finally:
        ark_tmp.unlink(missing_ok=True)
        scp_tmp.unlink(missing_ok=True)


ROW_TOLERANCE = 3  # rows by which a range may exceed a matrix, as in Kaldi's ExtractObjectRange
_RXSPECIFIER = re.compile(r"(?P<path>.+?)(?::(?P<offset>\d{1,18}))?(?P<range>\[[\d:,+ ]*\])?", re.DOTALL)


def _split(rxspecifier: str) -> tuple[str, int, str]:
    """Split `file[:offset][range]`; a pipe is never run."""
    match = _RXSPECIFIER.fullmatch(rxspecifier)
    if match is None or "\0" in rxspecifier or rxspecifier.strip().startswith("|") or rxspecifier.strip().endswith("|"):
        raise DataDirError(f"{rxspecifier!r}: expected 'file:offset'; a pipe is never run")
    return match["path"], int(match["offset"] or 0), match["range"] or ""


def _selection(text: str, shape: tuple[int, ...], name: str) -> tuple[slice, ...]:
    """Kaldi's range of a vector or matrix, both ends included: `[rows]` or `[rows,columns]`.

    Each is `first:last`, or `:` for all. As in Kaldi, rows may end up to `ROW_TOLERANCE` - 1 after the last one,
    since programs disagree on the number of frames; what is there is taken.
    """
    slices = []
    parts = text[1:-1].split(",")
    if len(parts) > len(shape):
        raise DataDirError(f"{name}: the range has more axes than {'x'.join(map(str, shape))}")
    for axis, (part, size) in enumerate(zip(parts, shape, strict=False)):
        match = re.fullmatch(r"\s*\+?(\d{1,9}):\s*\+?(\d{1,9})|:", part)
        if match is None:
            raise DataDirError(f"{name}: expected a range like [0:99], [0:99,0:39] or [:,0:39]")
        first, last = (int(match[1]), int(match[2])) if match[1] else (0, size - 1)
        tolerance = ROW_TOLERANCE if axis == 0 else 0
        if not first <= last < size + tolerance or (match[1] and first >= size):
            raise DataDirError(f"{name}: the range is not within {'x'.join(map(str, shape))}")
        slices.append(slice(first, min(last + 1, size)))
    return tuple(slices)


def read_object(stream: BinaryIO, name: str, ndim: int | None = None) -> np.ndarray:
    """Read one object at the stream's position, binary or text; float32, or float64 where that is stored.

    `ndim`, 1 or 2, is what a text of one line is taken for, as in `read_text`; a binary one says what it is.
    """
    start = stream.peek(2)[:2] if hasattr(stream, "peek") else b""
    return read_binary(stream, name) if start[:1] == b"\0" else read_text(stream, name, ndim=ndim)


def read_any(rxspecifier: str, ndim: int | None = None) -> np.ndarray:
    """Read `file:offset[range]` in the precision it is stored in; see `read_matrix`, and `read_object` for `ndim`."""
    path, offset, ranges = _split(rxspecifier)
    with Path(path).open("rb") as file:
        file.seek(offset)
        array = read_object(file, rxspecifier, ndim)
    return np.ascontiguousarray(array[_selection(ranges, array.shape, rxspecifier)]) if ranges else array


def read_matrix(rxspecifier: str) -> np.ndarray:
    """Read a matrix or vector of any of Kaldi's float types, binary or text, as float32, writable.

    Parameters
    ----------
    rxspecifier : str
        `file:offset`, or `file` for one that holds a single object; `[first:last]` or `[rows,columns]` may follow.

    Raises
    ------
    DataDirError
        For a pipe, a range outside the matrix, a record that is cut off, or none at all.
    OSError
    """
    return read_any(rxspecifier).astype(np.float32, copy=False)


def read_shape(rxspecifier: str, ndim: int | None = None) -> tuple[int, ...]:
    """Shape of the object at `file:offset[range]`; of a binary one, only the header is read; see `read_object` for `ndim`."""
    path, offset, ranges = _split(rxspecifier)
    with Path(path).open("rb") as file:
        file.seek(offset)
        is_binary = file.peek(1)[:1] == b"\0"
        shape = read_header(file, rxspecifier).shape if is_binary else read_text(file, rxspecifier, ndim=ndim).shape
    chosen = _selection(ranges, shape, rxspecifier) if ranges else ()
    return tuple(part.stop - part.start for part in chosen) + shape[len(chosen) :]


def record_extent(rxspecifier: str) -> tuple[int, int]:
    """First byte and number of bytes of the binary record at `file:offset`; checks that the file holds it all.

    Raises
    ------
    DataDirError
        If the header is not that of a float vector or matrix, or the file ends before the record does.
    """
    path, offset, ranges = _split(rxspecifier)
    if ranges or f"{path}:{offset}" != rxspecifier:
        raise DataDirError(f"{rxspecifier}: expected 'file:offset'")
    with Path(path).open("rb") as file:
        size = file.seek(0, 2)
        file.seek(offset)
        header = read_header(file, rxspecifier)
    num_bytes = header.num_bytes + header.payload
    if offset + num_bytes > size:
        raise DataDirError(f"{rxspecifier}: the record needs {num_bytes} bytes, the file ends before")
    return offset, num_bytes


def read_key(stream: BinaryIO, name: str) -> str | None:
    """Read the key of an archive's next record, and the space after it; None at the end."""
    while (byte := stream.read(1)).isspace():  # as Kaldi does; our text records end with a line end
        pass
    if byte == b"":
        return None
    raw = bytearray()
    while byte not in (b" ", b"\t", b"") and not byte.isspace() and byte != b"\0":
        raw += byte
        byte = stream.read(1)
    if byte not in (b" ", b"\t"):
        raise DataDirError(f"{name}: expected a key, a space and an array, got {bytes(raw[:40])!r}")
    try:
        key = raw.decode("utf-8")
        check_key(key, name)
    except (UnicodeDecodeError, DataDirError) as error:
        raise DataDirError(f"{name}: expected a key, one word of UTF-8 text, got {bytes(raw[:40])!r}") from error
    return key


def iter_records(stream: BinaryIO, name: str, ndim: int | None = None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (key, array) of an archive, from a file or pipe, in the precision stored; DataDirError where it breaks off.

    See `read_object` for `ndim`.
    """
    while (key := read_key(stream, name)) is not None:
        yield key, read_object(stream, f"{name}: {key}", ndim)


def iter_ark(ark: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (key, array) of an archive file, without its scp."""
    with Path(ark).open("rb") as file:
        yield from iter_records(file, str(ark))


def iter_matrices(scp: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (key, float32 array) in the scp's order; raises DataDirError naming the scp and the key."""
    for key, rxspecifier in read_scp(scp).items():
        try:
            yield key, read_matrix(rxspecifier)
        except (DataDirError, OSError) as error:
            raise DataDirError(f"{scp}: {key}: {error}") from error


def read_vectors(scp: str | Path) -> dict[str, np.ndarray]:
    """Read a whole scp of vectors, all of one dimension: key to (dim,) float32."""
    vectors = dict(iter_matrices(scp))
    dims = {vector.shape for vector in vectors.values()}
    if len(dims) > 1 or any(len(dim) != 1 for dim in dims):
        raise DataDirError(f"{scp}: expected vectors of one dimension, got shapes {sorted(dims)[:3]}")
    return vectors
