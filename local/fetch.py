"""One file over HTTP, resumable: what has come stays in FILE.part, and the next try asks for the rest."""

import http.client
import os
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte


class FetchError(OSError):
    """A file that did not come, or not whole; the message says how to go on."""


def fetch(url: str, target: Path) -> None:
    """Download `url` to `target`, which appears when it is whole.

    Raises
    ------
    FetchError
        In one line, if the server refuses, or breaks off.
    OSError
        If the file cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise FetchError(f"{url}: expected an address that begins with http:// or https://")
    part = target.with_name(f"{target.name}.part")
    with open_part(part) as file:
        try:
            total = _receive(url, file)
        except (http.client.HTTPException, urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
            if file.tell() == 0:
                part.unlink()
                raise FetchError(f"{url}: {error}") from error
            raise FetchError(
                f"{url}: {error}; {file.tell()} bytes are kept in {part}, the same command goes on"
            ) from error
        if total is not None and file.tell() != total:
            come = f"{file.tell()} of {total} bytes came"
            if file.tell() > total:
                file.truncate(0)
                raise FetchError(f"{url}: {come}, so they are of another file; the same command starts anew")
            raise FetchError(f"{url}: cut off, {come}; they are kept in {part}, the same command goes on")
        os.fsync(file.fileno())
    part.replace(target)


def open_part(path: Path) -> IO[bytes]:
    """Open a file to go on writing, at its end; a link that lies in its place is not followed.

    Raises
    ------
    FetchError
        If it is not a plain file of its own.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise FetchError(f"{path}: cannot be opened ({error.strerror}); remove it") from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(handle)
        raise FetchError(f"{path}: not a plain file of its own; remove it")
    file = os.fdopen(handle, "r+b")
    file.seek(0, os.SEEK_END)
    return file


def _receive(url: str, file: IO[bytes]) -> int | None:
    """Append what `file` lacks; the whole length in bytes, None where the server does not say."""
    have = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        length = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if length.isdecimal() and int(length) != have:
            return int(length)
        return have  # all of it is here: the last try was ended just before it was renamed
    with response:
        if have and not _continues(response, have):  # a server that knows no ranges sends all of it again
            file.seek(0)
            file.truncate()
            have = 0
        length = response.headers.get("Content-Length", "")
        while chunk := response.read(CHUNK):
            file.write(chunk)
        file.flush()
    return have + int(length) if length.isdecimal() else None


def _continues(response: http.client.HTTPResponse, have: int) -> bool:
    """True if an answer begins where our file ends."""
    told = response.headers.get("Content-Range")
    return response.status == http.client.PARTIAL_CONTENT and (told is None or told.startswith(f"bytes {have}-"))
