"""Kaldi's rspecifiers and wspecifiers: where a command's records come from and go to.

Read: `ark:FILE`, `scp:FILE`; write: `ark:FILE`, `ark,t:FILE` (text), `ark,scp:FILE,FILE`. FILE is a path, `-` for standard
input or output, a path that ends in `.gz`, or, only if pipes are allowed, `command |` to read and `| command` to write.
Options are Kaldi's: `s` (keys must be sorted), `cs`, `o` (which change nothing in reading from front to back), `p` (what
cannot be read is left out). Without `ark:` or `scp:`, a name stands for a file with a single object and no key.
"""

import gzip
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sv.base.files import atomic_write
from sv.kaldi.ark import iter_records, read_any, read_object, read_shape
from sv.kaldi.record import write_binary, write_compressed, write_text
from sv.kaldi.scp import DataDirError, byte_order, check_key, check_last_line, check_value, iter_lines, split_line

Write = Callable[[str, np.ndarray], None]
_OPTIONS = ("t", "b", "s", "ns", "cs", "ncs", "o", "no", "p", "np", "bg", "f", "nf")


@dataclass(frozen=True, kw_only=True)
class Specifier:
    """A parsed rspecifier or wspecifier; `kinds` is ("ark",), ("scp",), both, or () for a single object."""

    text: str
    kinds: tuple[str, ...]
    options: frozenset[str]
    files: tuple[str, ...]


def parse_specifier(text: str) -> Specifier:
    """Split `ark,t:file`; raises DataDirError for an option or a number of files that Kaldi does not have."""
    words, colon, rest = text.partition(":")
    fields = words.split(",")
    if not colon or not {"ark", "scp"} & set(fields):
        return Specifier(text=text, kinds=(), options=frozenset(), files=(text,))
    kinds = tuple(word for word in fields if word in ("ark", "scp"))
    options = frozenset(word for word in fields if word not in ("ark", "scp"))
    if unknown := sorted(options - set(_OPTIONS)):
        raise DataDirError(f"{text!r}: unknown option {unknown[0]!r}; known are {' '.join(_OPTIONS)}")
    files = tuple(rest.split(",", 1)) if kinds == ("ark", "scp") else (rest,)
    if len(set(kinds)) != len(kinds) or len(files) != len(kinds) or not all(files):
        raise DataDirError(f"{text!r}: expected ark:FILE, scp:FILE or ark,scp:FILE,FILE")
    return Specifier(text=text, kinds=kinds, options=options, files=files)


def _refuse_pipe(file: str, allowed: bool) -> None:
    if not allowed:
        raise DataDirError(f"{file!r}: a pipe would run in a shell; --allow-pipes allows it")


@contextmanager
def open_read(file: str, allow_pipes: bool = False) -> Iterator[BinaryIO]:
    """Open a file, `-`, `x.gz` or `command |`; raises DataDirError if the command fails."""
    name = file.strip()
    if name.endswith("|"):
        _refuse_pipe(name, allow_pipes)
        process = subprocess.Popen(["bash", "-o", "pipefail", "-c", name[:-1]], stdout=subprocess.PIPE)
        try:
            yield process.stdout
            process.stdout.read()  # what is left, or the command would be ended by SIGPIPE
        finally:
            process.stdout.close()
            code = process.wait()
        if code:
            raise DataDirError(f"{name!r}: failed with code {code}")
    elif name == "-":
        yield sys.stdin.buffer
    elif name.endswith(".gz"):
        with gzip.open(name) as stream:
            try:
                yield stream
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise DataDirError(f"{name}: cut off or damaged: {error}") from error
    else:
        with open(name, "rb") as stream:  # noqa: PTH123  (a name may be empty or odd: open's own message is best)
            yield stream


@contextmanager
def open_write(file: str, allow_pipes: bool = False) -> Iterator[BinaryIO]:
    """Open a file, `-`, `x.gz` or `| command` to write; raises DataDirError if the command fails."""
    name = file.strip()
    try:
        with _open_write(name, allow_pipes) as stream:
            yield stream
    except OSError as error:
        if error.errno is None or error.filename is not None or isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, f"could not write: {error.strerror}", name) from error


@contextmanager
def _open_write(name: str, allow_pipes: bool) -> Iterator[BinaryIO]:
    if name.startswith("|"):
        _refuse_pipe(name, allow_pipes)
        process = subprocess.Popen(["bash", "-o", "pipefail", "-c", name[1:]], stdin=subprocess.PIPE)
        try:
            yield process.stdin
        finally:
            process.stdin.close()
            code = process.wait()
        if code:
            raise DataDirError(f"{name!r}: failed with code {code}")
    elif name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif name.endswith(".gz"):
        with _open_file(name) as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as stream:
            yield stream
    else:
        with _open_file(name) as stream:
            yield stream


def _open_file(name: str) -> AbstractContextManager[BinaryIO]:
    """A file that appears whole or not at all; a device or a named pipe, or what cannot be made, as it is."""
    path = Path(name).resolve()  # a link stays a link
    if path.is_file() or (not path.exists() and path.parent.is_dir()):
        return atomic_write(path, "wb")
    return open(name, "wb")  # noqa: PTH123


def _scp_lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, str, str]]:
    """Number, key and file of each line of an scp that may come from a pipe."""
    for number, line in iter_lines(stream):
        check_last_line(line, name, number)
        yield number, *split_line(line, name, number, "file")


def _read_value(file: str, allow_pipes: bool, ndim: int | None) -> np.ndarray:
    if not file.endswith("|"):
        return read_any(file, ndim)
    with open_read(file, allow_pipes) as stream:
        return read_object(stream, file, ndim)


def read_records(
    rspecifier: str, allow_pipes: bool = False, ndim: int | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (key, array) of an rspecifier, in the precision stored.

    Parameters
    ----------
    rspecifier : str
    allow_pipes : bool
    ndim : 1 or 2, optional
        Tells whether a text of one line is a vector or a matrix; see `sv.kaldi.ark.read_object`.

    Raises
    ------
    DataDirError
        For a record that cannot be read (unless `p`), keys out of order (with `s`), or a pipe that is not allowed.
    OSError
    """
    specifier = parse_specifier(rspecifier)
    if len(specifier.kinds) != 1:
        raise DataDirError(f"{rspecifier!r}: expected ark:FILE or scp:FILE to read")
    file, last = specifier.files[0], None
    with open_read(file, allow_pipes) as stream:
        for key, array in _records(specifier, stream, file, allow_pipes, ndim):
            if "s" in specifier.options and last is not None and byte_order(key) <= byte_order(last):
                raise DataDirError(f"{rspecifier!r}: key {key!r} after {last!r}, but 's' says that keys are sorted")
            last = key
            yield key, array


def _records(
    specifier: Specifier, stream: BinaryIO, file: str, allow_pipes: bool, ndim: int | None
) -> Iterator[tuple[str, np.ndarray]]:
    permissive = "p" in specifier.options
    if specifier.kinds == ("ark",):
        try:
            yield from iter_records(stream, file, ndim)
        except DataDirError as error:
            if not permissive:
                raise
            print(f"{error}; the rest is left out", file=sys.stderr)
        return
    for number, key, value in _scp_lines(stream, file):
        try:
            array = _read_value(value, allow_pipes, ndim)
        except (DataDirError, OSError) as error:
            if not permissive:
                raise DataDirError(f"{file}:{number}: {key}: {error}") from error
            print(f"{file}:{number}: {key}: {error}; left out", file=sys.stderr)
            continue
        yield key, array


def read_shapes(
    rspecifier: str, allow_pipes: bool = False, ndim: int | None = None
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield (key, shape) of an rspecifier; of the binary files that an scp names, only the headers are read."""
    specifier = parse_specifier(rspecifier)
    if specifier.kinds != ("scp",) or specifier.options:
        yield from ((key, array.shape) for key, array in read_records(rspecifier, allow_pipes, ndim))
        return
    with open_read(specifier.files[0], allow_pipes) as stream:
        for number, key, value in _scp_lines(stream, specifier.files[0]):
            try:
                shape = _read_value(value, allow_pipes, ndim).shape if value.endswith("|") else read_shape(value, ndim)
            except (DataDirError, OSError) as error:
                raise DataDirError(f"{specifier.files[0]}:{number}: {key}: {error}") from error
            yield key, shape


@contextmanager
def open_records(wspecifier: str, compression_method: int | None = None, allow_pipes: bool = False) -> Iterator[Write]:
    """Yield write(key, array) for a wspecifier; `compression_method` is Kaldi's, of matrices in binary form."""
    specifier = parse_specifier(wspecifier)
    if specifier.kinds not in (("ark",), ("ark", "scp")):
        raise DataDirError(f"{wspecifier!r}: expected ark:FILE or ark,scp:FILE,FILE to write")
    text = "t" in specifier.options
    if len(specifier.files) == 2:
        check_value(specifier.files[0], specifier.files[1])
    with ExitStack() as stack:
        # The ark is closed first: its scp must not be there before it is.
        scp = stack.enter_context(open_write(specifier.files[1], allow_pipes)) if len(specifier.files) == 2 else None
        ark = stack.enter_context(open_write(specifier.files[0], allow_pipes))
        if scp and (specifier.files[0] == "-" or re.search(r"\.gz$|^\|", specifier.files[0])):
            raise DataDirError(f"{wspecifier!r}: an scp needs an ark that is a plain file, to point into")

        def write(key: str, array: np.ndarray) -> None:
            check_key(key, wspecifier)
            ark.write(key.encode() + b" ")
            if scp:
                scp.write(f"{key} {specifier.files[0]}:{ark.tell()}\n".encode())
            if text:
                write_text(ark, array)
            elif compression_method and array.ndim == 2:
                write_compressed(ark, array, compression_method)
            else:
                write_binary(ark, array)

        yield write
