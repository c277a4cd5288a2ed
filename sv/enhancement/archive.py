"""Embeddings on disk: rows of Kaldi archives, read when they are asked for."""

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sv.base.files import existing_file
from sv.kaldi import DataDirError, read_scp

BLOCK_ROWS = 4096
VECTOR_HEADER, MATRIX_HEADER = 10, 15  # bytes from a record's offset to its first value


class EmbeddingArchive:
    """Random access to embeddings, one per utterance: a vector, or the mean of a matrix' rows (segments).

    Records are read by position: a million embeddings take the memory of their keys and offsets.

    Parameters
    ----------
    scp : path
        Of uncompressed single-precision records, as `open_ark_scp` writes them.

    Attributes
    ----------
    keys : list of str
    dim : int
    arks : list of Path
        Files that hold the records.

    Raises
    ------
    FileNotFoundError
        If there is no scp.
    DataDirError
        If the scp is empty, a line is not an archive position, or the first record is not such a vector or matrix; from `rows`,
        if another record is not, or has another dimension.
    """

    def __init__(self, scp: str | Path) -> None:
        self.scp = existing_file(scp, "run stage 5 first")
        table = read_scp(scp)
        if not table:
            raise DataDirError(f"{scp}: no embeddings")
        self.keys = list(table)
        self._row = {key: row for row, key in enumerate(self.keys)}
        self._files: list[int] = []
        self.arks: list[Path] = []
        descriptors: dict[str, int] = {}
        self._file, self._offset = np.empty(len(table), np.int32), np.empty(len(table), np.int64)
        for row, location in enumerate(table.values()):
            path, _, offset = location.rpartition(":")
            if not offset.isdigit():
                raise DataDirError(f"{scp}:{row + 1}: expected 'file:offset', got {location!r}")
            if path not in descriptors:
                descriptors[path] = len(self._files)
                self.arks.append(Path(path))
                self._files.append(os.open(path, os.O_RDONLY))
            self._file[row], self._offset[row] = descriptors[path], int(offset)
        self.dim = self._parsed(0, os.pread(self._files[0], MATRIX_HEADER, int(self._offset[0])))[2]

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: str) -> bool:
        return key in self._row

    def __del__(self) -> None:
        for descriptor in getattr(self, "_files", []):
            os.close(descriptor)

    def row(self, key: str) -> int:
        """Row of an utterance; KeyError if it has no embedding."""
        return self._row[key]

    def rows(self, rows: Sequence[int], num_crops: int = 0, rng: np.random.Generator | None = None) -> np.ndarray:
        """Embeddings of the given rows, (n, dim) float32.

        Parameters
        ----------
        rows : sequence of int
        num_crops : int
            Average that many randomly drawn rows of a matrix; 0, or more than it has: all.
        rng : numpy.random.Generator, optional
            Draws them.
        """
        embeddings = np.empty((len(rows), self.dim), np.float32)
        for place, row in enumerate(rows):
            segments = self._read(row)
            if num_crops and len(segments) > num_crops:
                segments = segments[rng.choice(len(segments), num_crops, replace=False)]
            embeddings[place] = segments[0] if len(segments) == 1 else segments.mean(axis=0)
        return embeddings

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield all embeddings in order, a few thousand at a time: their rows, and (n, dim) float32."""
        for first in range(0, len(self), BLOCK_ROWS):
            block = slice(first, min(first + BLOCK_ROWS, len(self)))
            yield block, self.rows(range(block.start, block.stop))

    def segments(self, row: int) -> np.ndarray:
        """Segments' embeddings of one utterance, (num_segments, dim) float32; a vector is one segment."""
        return self._read(row)

    def _read(self, row: int) -> np.ndarray:
        file, offset = self._files[self._file[row]], int(self._offset[row])
        record = os.pread(file, MATRIX_HEADER + 4 * self.dim, offset)  # all of a vector: one call for most embeddings
        start, count, dim = self._parsed(row, record)
        if dim != self.dim:
            raise DataDirError(f"{self.scp}: {self.keys[row]} has dimension {dim}, the embeddings before it {self.dim}")
        data = record[start : start + 4 * count * dim]
        if len(data) < 4 * count * dim:
            data = os.pread(file, 4 * count * dim, offset + start)
        if len(data) < 4 * count * dim:
            raise DataDirError(f"{self.scp}: {self.keys[row]}: the archive ends within its record")
        return np.frombuffer(data, "<f4").reshape(count, dim)

    def _parsed(self, row: int, record: bytes) -> tuple[int, int, int]:
        """Length of a record's header, number of its rows, their dimension."""
        if record[:6] == b"\0BFV \4" and len(record) >= VECTOR_HEADER:
            return VECTOR_HEADER, 1, struct.unpack_from("<i", record, 6)[0]
        if record[:6] == b"\0BFM \4" and len(record) >= MATRIX_HEADER and record[10:11] == b"\4":
            return MATRIX_HEADER, struct.unpack_from("<i", record, 6)[0], struct.unpack_from("<i", record, 11)[0]
        raise DataDirError(f"{self.scp}: {self.keys[row]}: no uncompressed single-precision vector or matrix is there")
