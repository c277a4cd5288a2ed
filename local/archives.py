"""Archives of corpora, unpacked so that nothing lands outside their folder, and that half of one is not taken for all.

A tar or zip is read from beginning to end. Plain files and folders below the corpus' own folder are written, as tarfile's
`data` filter would write them; links, devices, absolute names and names with `..` are left out, which is said. Last comes
MARKER, which counts the files: without it, or with fewer files, the archive is unpacked again.
"""

import gzip
import json
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from sv.base.files import write_text

MARKER = ".unpacked.json"
UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    RuntimeError,
)
Member = tuple[str, str, IO[bytes] | None]  # name; why it is left out, or nothing; its bytes, None for a folder


class ArchiveError(ValueError):
    """An archive that is cut, damaged, or not the corpus'."""


def is_complete(folder: Path) -> bool:
    """True if a corpus' folder holds as many files as its archive; False if its marker is missing or cannot be read."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return 0 < marker["num_files"] <= num_files(folder)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def num_files(folder: Path) -> int:
    """Number of plain files below a folder, without the marker."""
    return sum(not entry.is_symlink() and entry.is_file() and entry.name != MARKER for entry in folder.rglob("*"))


def unpack(archive: Path, parent: Path, root: str) -> list[str]:
    """Unpack `archive`, all of whose files lie in the folder `root`, to `parent`/`root`.

    Returns
    -------
    list of str
        What was left out, and why: a line for each.

    Raises
    ------
    ArchiveError
        In one line, if the archive is cut or damaged, or is another one; what was written by then has no marker.
    OSError
        If a file cannot be written.
    """
    left_out, written = [], set()
    (parent / root / MARKER).unlink(missing_ok=True)
    try:
        for name, fault, source in members(archive):
            path = PurePosixPath(name)
            if fault:
                left_out.append(f"{name!r}: {fault}")
            elif path.parts[0] != root:
                raise ArchiveError(f"{archive}: not the archive of {root}, it holds {name!r}")
            elif source is None:
                safe_folder(parent, path)
            else:
                write_member(parent, path, source)
                written.add(path)
    except ArchiveError:
        raise
    except UNREADABLE as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ArchiveError(f"{archive}: cut or damaged ({reason})") from error
    if not written:
        raise ArchiveError(f"{archive}: not the archive of {root}, none of its files are in that folder")
    write_text(parent / root / MARKER, json.dumps({"archive": archive.name, "num_files": len(written)}) + "\n")
    return left_out


def members(archive: Path) -> Iterator[Member]:
    """Members of a tar (packed or not) or zip, in their order."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the writer was no Unix
                fault = fault_of(info.filename) or (
                    "" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "a link or device"
                )
                if fault or info.is_dir():
                    yield info.filename, fault, None
                else:
                    with packed.open(info) as source:
                        yield info.filename, "", source
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            fault = fault_of(member.name) or ("" if member.isreg() or member.isdir() else "a link or device")
            yield member.name, fault, tar.extractfile(member) if member.isreg() and not fault else None


def fault_of(name: str) -> str:
    """Reason to leave out a member of this name; empty if there is none."""
    path = PurePosixPath(name)
    if path.is_absolute() or "\\" in name or (len(name) > 1 and name[1] == ":"):
        return "an absolute name"
    if ".." in path.parts or not path.parts:
        return "a name that leaves the folder"
    return "" if name.isprintable() else "a name with control characters"


def safe_folder(parent: Path, path: PurePosixPath) -> Path:
    """Make the folder `path` below `parent`; raises OSError where a link or a file is in the way."""
    folder = parent
    for part in path.parts:
        folder /= part
        if folder.is_symlink():
            raise OSError(f"{folder}: a link, where a folder is to be unpacked; remove it")
        folder.mkdir(exist_ok=True)
    return folder


def write_member(parent: Path, path: PurePosixPath, source: IO[bytes]) -> None:
    """Write a file below `parent`, whole or not at all, to a new file in the place of whatever is there."""
    target = safe_folder(parent, path.parent) / path.name
    temporary = target.with_name(f".{target.name[:200]}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
