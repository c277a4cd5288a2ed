"""Notes that a long piece of work takes as it goes, so that after a kill it goes on where it was."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Notes:
    """Rows of JSON in a file, one a line, behind a first line that says what they are about.

    A row is in the file when `add` returns, so that a killed process loses none. What such a kill leaves of a last row is cut off.

    Parameters
    ----------
    path : path
    subject : str
        First line: notes about something else are not read, and are written over.
    """

    def __init__(self, path: str | Path, subject: str) -> None:
        self.path, self.subject = Path(path), json.dumps(subject)
        self.end = 0  # bytes that can be read
        self.descriptor: int | None = None

    def read(self) -> Iterator[list[Any]]:
        """Yield the rows that are there; none if the file is not there or about something else. Adding begins after them."""
        self.end = 0
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            if file.readline() != f"{self.subject}\n".encode():
                return
            self.end = file.tell()
            for line in file:
                row = _row(line)
                if row is None:  # torn, and all that follows is in doubt
                    return
                self.end += len(line)
                yield row

    def __enter__(self) -> "Notes":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.end or self.path.is_symlink():
            self.path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(self.path, flags, 0o666)
        os.ftruncate(self.descriptor, self.end)
        os.lseek(self.descriptor, self.end, os.SEEK_SET)
        if not self.end:
            os.write(self.descriptor, f"{self.subject}\n".encode())
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.descriptor)

    def add(self, *row: Any) -> None:
        """Write a row; raises OSError, for instance where the disk is full."""
        os.write(self.descriptor, f"{json.dumps(row)}\n".encode())


def _row(line: bytes) -> list[Any] | None:
    """A row; None if the line is torn or damaged."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row if isinstance(row, list) else None
