"""Speaker embeddings as the RawNet authors publish them: a pickled dict from `speaker/video/segment` to a vector.

A pickle is a program. This reader runs none of what it may call: the few names that such a file needs (NumPy's arrays and
data types) become inert records here, from whose raw bytes the arrays are made; any other name is refused.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sv.base.files import atomic_write

SUFFIX = ".wav"  # of the keys of RawNet1's embeddings


class PickleError(ValueError):
    """A file that is not a pickle of embeddings; the message names it."""


class _Record:
    """An inert stand-in for the result of a known call: its arguments, and the state that was to be set."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments, self.state = arguments, None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Record):
    pass


class _Dtype(_Record):
    pass


class _ArrayType(_Record):
    pass


class _FromBuffer(_Record):
    """`_frombuffer(data, dtype, shape, order)`: an array in a pickle of protocol 5."""


class _Encoded(_Record):
    """`_codecs.encode(text, "latin1")`: how Python 3 writes bytes for Python 2."""


_KNOWN = {
    ("multiarray", "_reconstruct"): _Array,
    ("numeric", "_frombuffer"): _FromBuffer,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encoded,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        for package in ("numpy.core.", "numpy._core."):
            module = module.removeprefix(package)
        if (module, name) not in _KNOWN:
            raise PickleError(f"it asks for {module}.{name}, which no table of embeddings needs; it is not read")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise PickleError("it refers to objects outside the file; it is not read")


def read_embeddings(path: str | Path, table: str | None = None) -> dict[str, np.ndarray]:
    """Read embeddings by their published keys.

    Parameters
    ----------
    path : path
    table : str, optional
        Name of one of several tables, where the file holds a dict of them (RawNet1: `dev_dic_embeddings`,
        `eval_dic_embeddings`).

    Returns
    -------
    dict of str to (dim,) numpy.ndarray, float32

    Raises
    ------
    PickleError
        For anything but a dict of finite vectors of one length, each with a single word as its key.
    """
    try:
        with Path(path).open("rb") as file:
            content = _Reader(file, encoding="latin1").load()
        if not isinstance(content, dict):
            raise PickleError(f"expected a dict of embeddings, got {type(content).__name__}")
        return _vectors(_selected(content, table))
    except PickleError as error:
        raise PickleError(f"{path}: {error}") from error
    except (pickle.UnpicklingError, EOFError, TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        raise PickleError(f"{path}: not a pickle of embeddings, or cut short ({error})") from error


def _selected(content: dict, table: str | None) -> dict:
    tables = [name for name, value in content.items() if isinstance(value, dict)]
    if table is None and not tables:
        return content
    if table not in tables:
        raise PickleError(f"it holds the tables {', '.join(map(str, tables)) or 'none'}; name one with --table")
    return content[table]


def _vectors(table: dict) -> dict[str, np.ndarray]:
    vectors = {}
    for key, value in table.items():
        if not isinstance(key, str) or key.split() != [key]:
            raise PickleError(f"{key!r} is not a single word")
        vectors[key] = _vector(value, key)
    if len({len(vector) for vector in vectors.values()}) > 1:
        raise PickleError(
            f"its vectors have several lengths: {sorted({len(vector) for vector in vectors.values()})[:4]}"
        )
    return vectors


def _vector(value: Any, key: str) -> np.ndarray:
    if isinstance(value, _FromBuffer) and len(value.arguments) == 4:
        data, dtype, shape, _ = value.arguments
    elif isinstance(value, _Array) and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, dtype, _, data = value.state
    else:
        raise PickleError(f"{key!r} is not an array")
    if isinstance(data, _Encoded):
        data = data.arguments[0].encode("latin1")
    if isinstance(data, str):  # of Python 2, read as latin1
        data = data.encode("latin1")
    vector = np.frombuffer(data, dtype=_dtype(dtype, key)).astype(np.float32)
    if vector.size != np.prod(shape, dtype=np.int64) or vector.size != max(shape, default=0) or not vector.size:
        raise PickleError(f"{key!r} has the shape {shape}, not that of a vector, or other data")
    if not np.isfinite(vector).all():
        raise PickleError(f"{key!r} holds NaN or infinity")
    return vector


def _dtype(record: Any, key: str) -> np.dtype:
    name = record.arguments[0] if isinstance(record, _Dtype) and record.arguments else None
    if name not in ("f2", "f4", "f8"):
        raise PickleError(f"{key!r} holds {name!r} instead of floats")
    order = record.state[1] if record.state else "<"
    return np.dtype(name).newbyteorder(order if order in ("<", ">") else "<")


def write_embeddings(path: str | Path, vectors: Mapping[str, np.ndarray]) -> None:
    """Write embeddings as in the published files: a pickled dict of float32 vectors, whole or not at all."""
    with atomic_write(path, "wb") as file:
        pickle.dump({key: np.asarray(vector, dtype=np.float32) for key, vector in vectors.items()}, file, protocol=4)


def to_utterance(key: str) -> str:
    """Turn a key, `id10270/x6uYqmx31kE/00001`, into an utterance id, `id10270-x6uYqmx31kE-00001`; the suffix is dropped.

    Raises
    ------
    PickleError
        If the id could not be turned back into the key: a speaker or a segment has `-` in its name.
    """
    utterance = key.removesuffix(SUFFIX).replace("/", "-")
    if to_key(utterance, key.count("/") + 1) != key.removesuffix(SUFFIX):
        raise PickleError(f"{key!r} has '-' where it cannot be turned back; keep the slashes (--keep-slashes)")
    return utterance


def to_key(utterance: str, num_parts: int = 3) -> str:
    """Turn an utterance id into a published key: `speaker/video/segment` (3 parts) or `speaker/file` (2)."""
    speaker, dash, rest = utterance.partition("-")
    if num_parts == 2 or not dash:
        return f"{speaker}/{rest}" if dash else utterance
    video, dash, segment = rest.rpartition("-")
    return f"{speaker}/{video}/{segment}" if dash else f"{speaker}/{rest}"
