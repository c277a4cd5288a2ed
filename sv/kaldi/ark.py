"""Kaldi archives of float vectors and matrices: written whole, read by key or in order."""

import errno
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import kaldiio
import numpy as np

from sv.kaldi.scp import DataDirError, byte_order, check_key, read_scp

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
        For keys out of byte order or repeated, and for arrays with NaN or infinity, naming the key.
    OSError
        When the disk is full, naming the file; nothing is left behind.
    """
    ark, scp = Path(ark), Path(scp)
    ark.parent.mkdir(parents=True, exist_ok=True)
    scp.parent.mkdir(parents=True, exist_ok=True)
    ark_tmp, scp_tmp = Path(f"{ark}.tmp"), Path(f"{scp}.tmp")
    try:
        with ark_tmp.open("wb") as ark_file, scp_tmp.open("w", encoding="utf-8") as scp_file:
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
                kaldiio.save_ark(ark_file, {key: array}, compression_method=compression_method)
                last = key

            yield write
            for file in (ark_file, scp_file):
                file.flush()
                os.fsync(file.fileno())
        ark_tmp.replace(ark)
        scp_tmp.replace(scp)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, "the disk is full", str(ark)) from error
        raise
    finally:
        ark_tmp.unlink(missing_ok=True)
        scp_tmp.unlink(missing_ok=True)


def read_matrix(rxspecifier: str) -> np.ndarray:
    """Read `file:offset` (or `file:offset[first:last]`), a matrix or vector of any of Kaldi's types, as float32."""
    try:
        return np.array(kaldiio.load_mat(rxspecifier), dtype=np.float32)
    except (ValueError, AssertionError, struct.error, EOFError, IndexError) as error:
        raise DataDirError(
            f"{rxspecifier}: not a whole Kaldi matrix or vector ({error or type(error).__name__})"
        ) from error


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


_FLOAT_TYPES = {b"FM ": 4, b"DM ": 8, b"FV ": 4, b"DV ": 8}


def record_extent(rxspecifier: str) -> tuple[int, int]:
    """First byte after the offset, and number of bytes, of an uncompressed record; checks that the file holds it all.

    Raises
    ------
    DataDirError
        If the header is not that of a float vector or matrix, or the file ends before the record does.
    """
    match = re.fullmatch(r"(.+):(\d+)", rxspecifier)
    if not match:
        raise DataDirError(f"{rxspecifier}: expected 'file:offset'")
    path, offset = match[1], int(match[2])
    with Path(path).open("rb") as file:
        file.seek(offset)
        header = file.read(15)
        size = os.fstat(file.fileno()).st_size
    item = _FLOAT_TYPES.get(header[2:5])
    if header[:2] != b"\0B" or item is None or len(header) < 10:
        raise DataDirError(f"{rxspecifier}: no float vector or matrix starts there")
    counts = [struct.unpack("<i", header[at + 1 : at + 5])[0] for at in ((5, 10) if header[3:4] == b"M" else (5,))]
    num_bytes = 5 + 5 * len(counts) + int(np.prod(counts)) * item
    if offset + num_bytes > size:
        raise DataDirError(f"{rxspecifier}: the record needs {num_bytes} bytes, the file ends before")
    return offset, num_bytes
