#!/usr/bin/env python3
"""Published trial lists by name, local/protocols.toml: where a list is, and whether a file is the one that was published.

local/protocols.py vox1-e-cleaned    prints what is known of it; without a name, the names
local/protocols.py --set /data/voxsrc/VoxSRC2023_val.txt    prints the name of its data directory
"""

import argparse
import difflib
import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from sv.base.config import ConfigError, from_dict, load_toml
from sv.base.files import write_text
from sv.kaldi.scp import DataDirError

TABLE = Path(__file__).resolve().with_name("protocols.toml")
PLACES = (".", "meta", "lists", "trials", "eval/lists", "..")  # of lists, below and beside a corpus' folder
RECORD = "published_list"  # in a data directory: the published list that its trials are, in a line
HASHES = {"md5": "MD5", "sha256": "SHA-256"}
COUNTS = ("trials", "targets", "nontargets", "utterances", "speakers")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A published trial list; the keys of protocols.toml, which the head of that file explains.

    Attributes
    ----------
    name, recipe, list, address : str
    md5, sha256 : str, optional
        Hexadecimal, of the file; None if not known.
    trials, targets, nontargets, utterances, speakers : int, optional
        None if not known.
    training : bool
        It tests speakers of VoxCeleb1's training set.
    audio : tuple of str
        Folders below that of the corpus, tried in turn.
    enrolment : str, optional
        Name of the list of models.
    """

    name: str
    recipe: str
    list: str
    address: str
    md5: str | None = None
    sha256: str | None = None
    trials: int | None = None
    targets: int | None = None
    nontargets: int | None = None
    utterances: int | None = None
    speakers: int | None = None
    training: bool = False
    audio: tuple[str, ...] = ()
    enrolment: str | None = None

    def __post_init__(self) -> None:
        for kind, length in (("md5", 32), ("sha256", 64)):
            digest = getattr(self, kind)
            if digest is not None and not re.fullmatch(f"[0-9a-f]{{{length}}}", digest):
                raise ValueError(f"{kind} must be {length} hexadecimal digits, got {digest!r}")


def read_protocols(table: Path = TABLE) -> dict[str, Protocol]:
    """Read the table; raises ConfigError naming file and key."""
    return {
        name: from_dict(Protocol, {**entry, "name": name}, f"{table}: [{name}]")
        for name, entry in load_toml(table).items()
    }


def find_list(protocol: Protocol, folders: Iterable[Path]) -> Path:
    """Find the list by its published name in the folders and their usual places.

    Raises
    ------
    DataDirError
        Naming the list, the folders and the address.
    """
    folders = list(folders)
    for folder in folders:
        for place in PLACES:
            if (path := folder / place / protocol.list).is_file():
                return path
    looked = f"looked in {', '.join(map(str, folders))} and there in {', '.join(PLACES[1:])}"
    raise DataDirError(f"{protocol.name}: no {protocol.list}; {looked}; get it from {protocol.address}")


def digests_of(path: Path) -> dict[str, str]:
    """MD5 and SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        found = {}
        for kind in HASHES:
            file.seek(0)
            found[kind] = hashlib.file_digest(file, kind).hexdigest()
    return found


def identify(path: Path, protocols: Mapping[str, Protocol]) -> Protocol | None:
    """The published list that a file is, by its hash; None if it is none whose hash is known."""
    digests = digests_of(path)
    for protocol in protocols.values():
        if any(getattr(protocol, kind) == digest for kind, digest in digests.items()):
            return protocol
    return None


def check_list(protocol: Protocol, path: Path, protocols: Mapping[str, Protocol]) -> None:
    """Compare a file with what is known of the published list: first its hashes, then its numbers.

    Raises
    ------
    DataDirError
        In one line: the file, what was expected, what is there, and what to do.
    """
    audio = " --test-audio FOLDER" if protocol.audio else ""
    remedy = f"get it from {protocol.address}, or take this file as it is: --trials {path}{audio}"
    for kind, digest in digests_of(path).items():
        expected = getattr(protocol, kind)
        if expected not in (None, digest):
            other = identify(path, protocols)
            known = f", that of {other.name}" if other else ""
            raise DataDirError(
                f"{path}: not the list of {protocol.name}: expected {HASHES[kind]} {expected}, got {digest}{known}; {remedy}"
            )
    expected = {name: getattr(protocol, name) for name in COUNTS if getattr(protocol, name) is not None}
    if expected:
        from local.listed import name_counts  # late: every run of a recipe asks for names

        found = name_counts(path)
        if wrong := [name for name, number in expected.items() if found[name] != number]:
            said = ", ".join(f"expected {expected[name]} {name}, got {found[name]}" for name in wrong)
            raise DataDirError(f"{path}: not the list of {protocol.name}: {said}; {remedy}")


def published_list(value: str, folders: Iterable[Path], table: Path = TABLE) -> tuple[Protocol, Path] | None:
    """The protocol of a name and its list, checked; None if the value is no name of one.

    Raises
    ------
    DataDirError
        As `find_list` and `check_list`.
    """
    protocols = read_protocols(table)
    if value not in protocols:
        return None
    path = find_list(protocols[value], folders)
    check_list(protocols[value], path, protocols)
    return protocols[value], path


def record_list(data_dir: Path, path: Path, protocol: Protocol | None = None, table: Path = TABLE) -> None:
    """Write into a data directory which published list its trials are, for reports; remove what was said if they are none.

    Parameters
    ----------
    data_dir, path : Path
        The list is at `path`.
    protocol : Protocol, optional
        If it was asked for by name; else the file's hash tells.
    """
    protocol = protocol or identify(path, read_protocols(table))
    if protocol is None:
        (data_dir / RECORD).unlink(missing_ok=True)
        return
    hashed = [title for kind, title in HASHES.items() if getattr(protocol, kind)]
    counted = [name for name in COUNTS if getattr(protocol, name) is not None]
    checked = f"has the published {' and '.join(hashed or counted)}" if hashed or counted else "not checked"
    known = "" if hashed else "; a published hash is not known"
    sha256 = digests_of(path)["sha256"]
    write_text(data_dir / RECORD, f"{protocol.name}: {path.name}, SHA-256 {sha256}, {checked}{known}\n")


def set_name(value: str, protocols: Mapping[str, Protocol]) -> str:
    """Name of the data directory of a list, named or by its path; of a path without dashes, which names of conditions have."""
    return (
        value
        if value in protocols
        else re.sub(r"[^\w.]+", "_", Path(value).stem, flags=re.ASCII).strip("_.") or "listed"
    )


def suggestion(value: str, protocols: Mapping[str, Protocol]) -> str:
    """A hint for a message about a list that is not there: the names, the nearest first."""
    near = difflib.get_close_matches(value.lower(), protocols, n=1, cutoff=0.6)
    return f"did you mean {near[0]}? " * bool(near) + f"published lists by name: {', '.join(protocols)}"


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--set", action="store_true", help="print the name of the list's data directory")
    parser.add_argument(
        "--own-audio", action="store_true", help="exit with 0 if it has recordings of its own, else with 1"
    )
    parser.add_argument("name", nargs="?", default="")
    args = parser.parse_args(argv)
    try:
        protocols = read_protocols()
        if args.own_audio:
            sys.exit(not (args.name in protocols and protocols[args.name].audio))
        elif args.set:
            print(set_name(args.name, protocols))
        elif args.name:
            if args.name not in protocols:
                raise ConfigError(f"{args.name}: no published list; {suggestion(args.name, protocols)}")
            for key, value in asdict(protocols[args.name]).items():
                print(f"{key:12}{'not known' if value is None else value}")
        else:
            print("\n".join(protocols))
    except (ConfigError, OSError) as error:
        sys.exit(f"protocols.py: {error}")


if __name__ == "__main__":
    main()
