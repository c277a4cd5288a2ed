"""Files that `sv embed` writes, by their suffix: Kaldi's archive with its scp, NumPy's .npz, .csv."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from sv.base.files import atomic_write
from sv.embed.inputs import ARCHIVE
from sv.kaldi import DataDirError, open_ark_scp

Write = Callable[[str, np.ndarray], None]


@contextmanager
def _npz(out: Path) -> Iterator[Write]:
    ids: list[str] = []
    vectors: list[np.ndarray] = []

    def write(key: str, vector: np.ndarray) -> None:
        ids.append(key)
        vectors.append(vector)

    with atomic_write(out, "wb") as file:
        yield write
        np.savez(file, ids=np.array(ids, dtype=str), embeddings=np.array(vectors, dtype=np.float32))


@contextmanager
def _csv(out: Path) -> Iterator[Write]:
    with atomic_write(out) as file:
        lines, empty = csv.writer(file, lineterminator="\n"), True

        def write(key: str, vector: np.ndarray) -> None:
            nonlocal empty
            if empty:
                lines.writerow(["id", *range(1, len(vector) + 1)])
                empty = False
            lines.writerow([key, *map(str, np.asarray(vector, np.float32))])  # the shortest that reads back the same

        yield write


@contextmanager
def _ark(out: Path) -> Iterator[Write]:
    with open_ark_scp(out.absolute(), out.absolute().with_suffix(".scp")) as write:
        yield write


_WRITERS = {".ark": _ark, ".npz": _npz, ".csv": _csv}
SUFFIXES = tuple(_WRITERS)


def open_embeddings(out: Path) -> Iterator[Write]:
    """Yield write(key, vector), for keys in byte order; what is at `out` is replaced only if the block succeeds.

    Parameters
    ----------
    out : path
        OUT.ark: Kaldi's binary archive, with OUT.scp beside it, which names the archive by its absolute path. OUT.npz: arrays
        `ids` (n,) of str and `embeddings` (n, dim) of float32. OUT.csv: a line `id,1,2,...` and one for each recording.
    """
    return _WRITERS[out.suffix](out)


def files_of(out: Path) -> list[Path]:
    """Files that an output is made of."""
    return [out, out.with_suffix(".scp")] if out.suffix == ".ark" else [out]


def refuse_overwriting(out: Path, inputs: Mapping[str, tuple[str, Path]]) -> None:
    """Raise DataDirError if an output is a folder, or one of the files that the inputs are read from."""
    there = [path for path in files_of(out) if path.exists()]
    for path in there:
        if path.is_dir():
            raise DataDirError(f"{path} is a folder; choose another output")
    states = [path.stat() for path in there]
    for path in _read_from(inputs) if states else ():
        with suppress(OSError):  # what is not there is said when it is read
            state = Path(path).stat()
            if any(os.path.samestat(state, other) for other in states):
                raise DataDirError(f"{path} is an input and would be overwritten; choose another output")


def _read_from(inputs: Mapping[str, tuple[str, Path]]) -> Iterable[str]:
    tables = dict.fromkeys(str(table) for _, table in inputs.values())
    archives = (location.rpartition(":")[0] for location, _ in inputs.values() if ARCHIVE.fullmatch(location))
    return dict.fromkeys((*tables, *archives, *(location for location, _ in inputs.values())))
