"""Digests of corpora: names, sizes and a sample of the bytes of all their files, remembered until a file's times change."""

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SAMPLE = 16384  # bytes from the head, the middle and the tail of a file
Entry = tuple[str, int, int, int]  # path within the corpus, size, times of content and of inode


class Corpora:
    """Digests of corpora, remembered in a file.

    Parameters
    ----------
    path : Path
        The memory; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        self.known: dict[str, dict] = known if isinstance(known, dict) else {}
        self.changed: dict[str, list[str]] = {}

    def digest(self, name: str, folder: Path) -> str:
        """Digest of a corpus; the files in which it differs from what is remembered are then in `changed[name]`."""
        before, now = self.known.get(name, {}), {}
        entries = sorted(files_of(folder))
        new = [entry for entry in entries if before.get(entry[0], [[]])[0] != list(entry[1:])]
        with ThreadPoolExecutor(8) as pool:
            sampled = dict(zip(new, pool.map(lambda entry: sample(folder / entry[0], entry[1]), new)))
        for entry in entries:
            now[entry[0]] = [list(entry[1:]), sampled[entry] if entry in sampled else before[entry[0]][1]]
        self.changed[name] = sorted(
            path for path in before.keys() | now.keys() if before.get(path, [[], ""])[1] != now.get(path, [[], ""])[1]
        )
        self.known[name] = now
        whole = "".join(f"{path}\0{stamp[0]}\0{digest}\n" for path, (stamp, digest) in now.items())
        return hashlib.blake2b(whole.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def files_of(folder: Path) -> Iterator[Entry]:
    """Files anywhere below a folder, hidden ones left out; links are followed, each folder is entered once."""
    entered: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        stat = Path(root).stat()
        if (stat.st_dev, stat.st_ino) in entered:
            folders.clear()
            continue
        entered.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                path = Path(root, name)
                stat = path.stat() if path.exists() else path.lstat()
                yield str(path.relative_to(folder)), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def sample(path: Path, size: int) -> str:
    """Digest of the head, the middle and the tail of a file; words where it cannot be read."""
    digest = hashlib.blake2b(digest_size=8)
    try:
        with path.open("rb") as file:
            for place in sorted({0, max(0, size // 2 - SAMPLE // 2), max(0, size - SAMPLE)}):
                file.seek(place)
                digest.update(file.read(SAMPLE))
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return digest.hexdigest()
