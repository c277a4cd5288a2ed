#!/usr/bin/env python3
"""Download a freely available corpus from OpenSLR and unpack it: musan (11 GB) or rirs (1.3 GB).

    local/download_corpora.py /corpora musan

Goes on where it was cut off. The archive's MD5, which OpenSLR publishes beside it (checksum.md5), is compared; from another
mirror an archive that differs is taken, which is said. A bad archive is set aside as <name>.bad, and the next try fetches it
anew. A corpus that is there whole is left alone.
"""

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from local.archives import ArchiveError, is_complete, unpack

MIRROR = "https://www.openslr.org/resources"


@dataclass(frozen=True)
class Archive:
    """A corpus' archive: its place below the mirror, the folder that it holds, and its published MD5."""

    place: str
    root: str
    md5: str


ARCHIVES = {
    "musan": Archive("17/musan.tar.gz", "musan", "0c472d4fc0c5141eca47ad1ffeb2a7df"),
    "rirs": Archive("28/rirs_noises.zip", "RIRS_NOISES", "e6f48e257286e05de56413b4779d8ffb"),
}


def say(message: str) -> None:
    """One line on stderr."""
    print(f"download_corpora.py: {message}", file=sys.stderr)


def set_aside(path: Path) -> Path:
    """Rename a bad archive, in the place of an earlier bad one; returns its new name."""
    bad = path.with_name(f"{path.name}.bad")
    path.replace(bad)
    return bad


def check_sum(path: Path, known: str, mirror: str) -> None:
    """Compare an archive with its published MD5; raises ArchiveError if it differs and comes from OpenSLR itself."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found == known:
        say(f"{path.name} has the published MD5, {known}")
    elif mirror == MIRROR:
        raise ArchiveError(f"{path}: its MD5 is {found}, published is {known}")
    else:
        say(f"{path.name} from {mirror} has not the published MD5 but {found}: taken as it is, nothing vouches for it")


def download(corpora: Path, archive: Archive, mirror: str) -> None:
    """Download and unpack, as far as that was not done before.

    Raises
    ------
    OSError, ArchiveError
        In one line; a bad archive is set aside by then.
    """
    if is_complete(corpora / archive.root):
        say(f"{corpora / archive.root} is there, with all of its files")
        return
    from local.fetch import fetch  # late, as check_options.py, which every run calls, reads ARCHIVES

    corpora.mkdir(parents=True, exist_ok=True)
    path = corpora / Path(archive.place).name
    if not path.exists():
        fetch(f"{mirror}/{archive.place}", path)
    try:
        check_sum(path, archive.md5, mirror)
        left_out = unpack(path, corpora, archive.root)
    except ArchiveError as error:
        raise ArchiveError(f"{error}; set aside as {set_aside(path).name}, the next try fetches it anew") from error
    for line in left_out[:10]:
        say(f"left out of {path.name}: {line}")
    if len(left_out) > 10:
        say(f"left out of {path.name}: {len(left_out) - 10} more")


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and download."""
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", type=Path, help="folder that gets the corpus' own folder")
    parser.add_argument("corpus", choices=list(ARCHIVES))
    parser.add_argument("--url", default=MIRROR, help="mirror of OpenSLR's resources (%(default)s)")
    args = parser.parse_args(argv)
    try:
        download(args.corpora, ARCHIVES[args.corpus], args.url.rstrip("/"))
    except (OSError, ArchiveError) as error:
        sys.exit(f"download_corpora.py: {args.corpus}: {error}")


if __name__ == "__main__":
    main()
