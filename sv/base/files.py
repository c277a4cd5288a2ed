"""Files that appear whole or not at all."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Open a temporary file beside `path`; sync it and rename it to `path` if the block succeeds.

    Parameters
    ----------
    path : path
        Its folder is made if it does not exist.
    mode : "w" (UTF-8 text) or "wb"

    Raises
    ------
    OSError
        Naming `path`, for instance when the disk is full; the temporary file is removed.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_new(temporary, mode) as file:
            yield file
            sync(file)
            refuse_other(file, temporary)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        # Of a failed write PyTorch tells that a position is not the expected one.
        cause = error.__context__ if isinstance(error, RuntimeError) else error
        if isinstance(cause, OSError):
            raise write_error(cause, path, temporary) from error
        raise


def open_new(path: Path, mode: str = "w") -> IO:
    """Open a file that is certainly new, "w" (UTF-8 text) or "wb": what has its name goes first, and a link is never followed.

    The name can be known beforehand, so that what a killed process has left is found again, and overwritten.

    Raises
    ------
    FileExistsError
        If somebody else makes it at the same moment.
    """
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8")


def refuse_other(file: IO, path: Path) -> None:
    """Raise OSError unless the file at `path` is still the open one, which another process may have taken away."""
    if not os.path.samestat(os.fstat(file.fileno()), path.lstat()):
        raise OSError(errno.EBUSY, "another process is writing this file", str(path))


def existing_file(path: str | Path, remedy: str) -> Path:
    """Return the path of a file; raises FileNotFoundError with the remedy if there is none."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not there; {remedy}")
    return path


def sync(file: IO) -> None:
    """Bring what was written to the disk itself."""
    file.flush()
    os.fsync(file.fileno())


def write_error(error: OSError, path: Path, temporary: Path) -> OSError:
    """The error that names `path`, where `error` came of writing its temporary file; `error` itself otherwise.

    A failed write has an error number and names no file. An error that names another file (one that the block reads, say), or
    that has only a message (ours), is not about `path`.
    """
    if error.errno is not None and error.filename in (None, str(temporary), temporary):
        return OSError(error.errno, f"could not write: {error.strerror or error}", str(path))
    return error


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text to `path`, whole or not at all."""
    with atomic_write(path) as file:
        file.write(text)


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
