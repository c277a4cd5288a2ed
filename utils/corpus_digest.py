"""Digests of corpora: names, sizes and a sample of the bytes of all their files, remembered until a file's times change."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SAMPLE = 16384  # bytes from the head, the middle and the tail of a file
BATCH = 10_000  # files
Entry = tuple[str, int, int, int]  # path within the corpus, size, times of content and of inode


class Corpora:
    """Digests of corpora, each remembered in a file of its own, which is read when it is asked for.

    Parameters
    ----------
    path : Path
        Where the memories are: `<path>.<name of the corpus>.json`; none needs to exist.

    Attributes
    ----------
    changed : dict of str to list of str
        By corpus, the files in which it differs from what was remembered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.changed: dict[str, list[str]] = {}
        self.unsaved: dict[str, dict[str, list]] = {}

    def memory(self, name: str) -> Path:
        """File that remembers a corpus."""
        return self.path.with_name(f"{self.path.name}.{name}.json")

    def remembered(self, name: str) -> dict[str, list]:
        """Stamp and digest of each file of a corpus, as remembered; empty if that cannot be read."""
        try:
            known = json.loads(self.memory(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def digest(self, name: str, folder: Path) -> str:
        """Digest of a corpus; the files in which it differs from what is remembered are then in `changed[name]`."""
        before, now = self.remembered(name), {}
        whole, new = hashlib.blake2b(digest_size=16), False
        for entries in batched(sorted(files_of(folder))):
            for (path, *stamp), digest in zip(entries, sampled(folder, entries, before)):
                now[path] = entry = [stamp, digest]
                new = new or before.get(path) != entry
                whole.update(f"{path}\0{stamp[0]}\0{digest}\n".encode("utf-8", "surrogateescape"))
        self.changed[name] = sorted(
            path for path in before.keys() | now.keys() if before.get(path, [[], ""])[1] != now.get(path, [[], ""])[1]
        )
        if new or len(before) != len(now):
            self.unsaved[name] = now
        return whole.hexdigest()

    def save(self, write: Callable[[Path, str], None]) -> None:
        """Write what has changed in the memories, each whole, by `write(path, text)`."""
        for name, known in self.unsaved.items():
            write(self.memory(name), json.dumps(known))
        self.unsaved.clear()


def batched(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Parts of a list: of a million files, not all wait to be read at once."""
    for first in range(0, len(entries), BATCH):
        yield entries[first : first + BATCH]


def sampled(folder: Path, entries: list[Entry], before: Mapping[str, list]) -> list[str]:
    """Digest of each file, of those that have not changed as remembered."""
    with ThreadPoolExecutor(8) as pool:
        waiting = [
            before[path][1] if before.get(path, [[]])[0] == stamp else pool.submit(sample, folder / path, stamp[0])
            for path, *stamp in entries
        ]
        return [one if isinstance(one, str) else one.result() for one in waiting]


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
