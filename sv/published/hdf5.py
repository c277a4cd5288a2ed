"""The datasets of an HDF5 file such as Keras writes: enough of the format for published weights, and no more.

Read are files of the format's first version (superblock 0, the default of every HDF5 library): groups as symbol tables,
uncompressed datasets of little-endian floats. Nothing in such a file can be executed.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SIGNATURE = b"\x89HDF\r\n\x1a\n"
ROOT_ENTRY = 56  # of the superblock: where the root group's symbol table entry stands
ENTRY_SIZE = 40
DATASPACE, DATATYPE, LAYOUT, CONTINUATION, SYMBOL_TABLE = 0x01, 0x03, 0x08, 0x10, 0x11
UNDEFINED = 2**64 - 1


class HDF5Error(ValueError):
    """A file that is no HDF5 file, or uses more of the format than is read here."""


def read_datasets(path: str | Path) -> dict[str, np.ndarray]:
    """Read every float dataset of a file: its path within the file, without leading slash, to its values.

    Raises
    ------
    HDF5Error
        Naming the file, and what of it is not understood.
    """
    data = Path(path).read_bytes()
    if not data.startswith(SIGNATURE):
        raise HDF5Error(f"{path}: not an HDF5 file")
    if data[8] != 0 or data[13:15] != b"\x08\x08":
        raise HDF5Error(
            f"{path}: HDF5 superblock of version {data[8]}; only version 0 is read. Save it with h5py's default"
        )
    try:
        return dict(_walk(data, _entry(data, ROOT_ENTRY)[1], ""))
    except (struct.error, IndexError, UnicodeDecodeError, RecursionError) as error:
        raise HDF5Error(f"{path}: damaged or cut short ({error})") from error
    except HDF5Error as error:
        raise HDF5Error(f"{path}: {error}") from error


def _entry(data: bytes, at: int) -> tuple[int, int]:
    """Offset of the name in the group's heap, and address of the object header."""
    return struct.unpack_from("<QQ", data, at)


def _walk(data: bytes, header: int, name: str) -> Iterator[tuple[str, np.ndarray]]:
    messages = dict(_messages(data, header))
    if SYMBOL_TABLE in messages:
        tree, heap = struct.unpack_from("<QQ", data, messages[SYMBOL_TABLE])
        for child, child_header in _members(data, tree, _heap_data(data, heap)):
            yield from _walk(data, child_header, f"{name}/{child}" if name else child)
    elif LAYOUT in messages:
        values = _dataset(data, messages, name)
        if values is not None:
            yield name, values


def _messages(data: bytes, header: int) -> Iterator[tuple[int, int]]:
    """Types of an object header's messages and where their contents start."""
    if data[header] != 1:
        raise HDF5Error("object headers of the newer format are not read")
    count, size = struct.unpack_from("<H4xI", data, header + 2)
    blocks = [(header + 16, size)]
    for at, length in blocks:  # grows as continuations are met
        end = at + length
        while at + 8 <= end and count > 0:
            kind, size = struct.unpack_from("<HH", data, at)
            if kind == CONTINUATION:
                blocks.append(struct.unpack_from("<QQ", data, at + 8))
            yield kind, at + 8
            at, count = at + 8 + size, count - 1


def _heap_data(data: bytes, heap: int) -> int:
    if data[heap : heap + 4] != b"HEAP":
        raise HDF5Error("no heap of names where a group has one")
    return struct.unpack_from("<Q", data, heap + 24)[0]


def _members(data: bytes, node: int, names: int) -> Iterator[tuple[str, int]]:
    """Names and object headers of a group's members, in order of their names."""
    if data[node : node + 4] == b"SNOD":
        (count,) = struct.unpack_from("<H", data, node + 6)
        for number in range(count):
            offset, header = _entry(data, node + 8 + number * ENTRY_SIZE)
            start = names + offset
            yield data[start : data.index(b"\0", start)].decode(), header
    elif data[node : node + 4] == b"TREE":
        (count,) = struct.unpack_from("<H", data, node + 6)
        for number in range(count):
            (child,) = struct.unpack_from("<Q", data, node + 24 + 8 + number * 16)
            yield from _members(data, child, names)
    else:
        raise HDF5Error("no tree of members where a group has one")


def _dataset(data: bytes, messages: dict[int, int], name: str) -> np.ndarray | None:
    """Values of a dataset; None if they are not floats."""
    at = messages[DATATYPE]
    (size,) = struct.unpack_from("<I", data, at + 4)
    if data[at] & 0x0F != 1:
        return None
    if size not in (2, 4, 8) or data[at + 1] & 1:
        raise HDF5Error(f"{name}: only little-endian floats are read")
    at = messages[DATASPACE]
    version, rank = data[at], data[at + 1]
    shape = struct.unpack_from(f"<{rank}Q", data, at + (8 if version == 1 else 4))
    at = messages[LAYOUT]
    if data[at] != 3 or data[at + 1] != 1:
        raise HDF5Error(f"{name}: only contiguous datasets are read, no chunks or compression")
    (address,) = struct.unpack_from("<Q", data, at + 2)
    count = int(np.prod(shape, dtype=np.int64))
    if count == 0 or address == UNDEFINED:
        return np.zeros(shape, dtype=f"<f{size}")
    if address + count * size > len(data):
        raise HDF5Error(f"{name}: the file ends before its values do")
    return np.frombuffer(data, dtype=f"<f{size}", count=count, offset=address).reshape(shape)
