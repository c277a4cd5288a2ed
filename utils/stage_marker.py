#!/usr/bin/env python3
"""Markers of stages, and the reasons why a stage has to run again; utils/stage.sh calls this.

    utils/stage_marker.py check [--begin RUN] --recipe run.sh --folder . --number 3 --options OPTIONS MARKER INPUT...
    utils/stage_marker.py check ... --corpus voxceleb1=/corpora/voxceleb1 MARKER
    utils/stage_marker.py finish --seconds 12 MARKER OUTPUT...
    utils/stage_marker.py unlock RUN FOLDER...

A marker holds what the stage was made of: its options, digests of its inputs, of the code it ran (its lines of the recipe,
or the function of utils/stages.sh, and the Python files they reach, without comments) and of its outputs. An input that is
a marker stands for that stage's outputs, as they are on disk now, whoever wrote them; a TOML file for its values; a corpus
for its files (corpus_digest.py), wherever they lie if tables name them by a link (links/<name>). What files of code are
called does not matter: a module may be renamed or moved (stage_code.py). Contents are digested once, and again only where
size or times have changed. Tables name places, so a folder that was copied elsewhere has to be made there anew. `check`
prints why the stage has to run, and nothing if it need not. With --begin it also keeps other runs from making anything in
the folders that are read, and from the marker's folder (run_lock.py), until `unlock`, which first ends what the run has
left running. Exit code 3 says that another run is there.

What a stage is expected to take (as it took before, or by a dry run) is noted when it begins, and printed when it is finished.
With --known-as FILE NAME the marker calls an input by another name: that of the file it was made from.
A marker of the version before this one is good for estimates, but its stage runs once more: its digests of code hang on
the names that files had then.
"""

import argparse
import hashlib
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from corpus_digest import Corpora
from expectations import expected
from run_lock import Busy, ancestors, end_processes, lock, release, rest, share, unlock
from stage_code import Code, code_of_stage, describe

VERSION = 2
READABLE = (1, VERSION)  # 1: its digests of code hang on the names of files


class Digests:
    """Digests of files' contents, remembered in a file with the size and the times that they were taken at.

    Parameters
    ----------
    path : Path
        The memory; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.known = {}
        self.changed = False

    def remembered(self, path: Path, kind: str, compute: Any) -> Any:
        """`compute(path)`, or what it was when the file had the same size and times."""
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        key = f"{kind}:{path.absolute()}"
        entry = self.known.get(key)
        if entry is None or entry[0] != stamp:
            entry = self.known[key] = [stamp, compute(path)]
            self.changed = True
        return entry[1]

    def content(self, path: Path) -> str:
        """Digest of a file's bytes."""
        return self.remembered(path, "content", digest_of_file)

    def code(self, path: Path) -> dict[str, Any]:
        """Content of a program, free of names of modules, and what it imports."""
        return self.remembered(path, "program", describe)

    def save(self) -> None:
        """Write the memory, if it has changed and can be written."""
        if self.changed:
            with suppress(OSError):  # a folder that is only read
                write_whole(self.path, json.dumps(self.known))


def digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("x", encoding="utf-8") as file:  # never through a link that somebody has put there
        try:
            file.write(text)
            file.flush()
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OSError(error.errno, f"could not write: {error.strerror}", str(path)) from error


def input_of_stage(path: Path, digests: Digests) -> Any:
    """Digests of an input: the outputs of a marker's stage, a configuration's values, or its content."""
    if path.suffix == ".done":
        return outputs_on_disk(path)
    if path.suffix == ".toml":
        return flatten(tomllib.loads(path.read_text(encoding="utf-8")))
    return digests.content(path)


def outputs_on_disk(marker_file: Path) -> dict[str, str]:
    """Digests of a stage's outputs as they are now, by the memory beside its marker.

    Raises
    ------
    FileNotFoundError
        If one is gone.
    """
    digests, marker = Digests(marker_file.with_name(".digests.json")), read_marker(marker_file)
    found = {}
    for name in marker.get("outputs", {}):
        if not Path(name).is_file():
            raise FileNotFoundError(f"{name}: gone; stage {marker['number']} makes it: run that again")
        found[name] = digests.content(Path(name))
    digests.save()
    return found


def foreign_inputs(inputs: Iterable[Path], now: dict[str, Any]) -> list[str]:
    """Outputs of earlier stages that are not what these stages wrote."""
    found = []
    for path in inputs:
        if path.suffix == ".done" and path.exists():
            recorded, on_disk = read_marker(path).get("outputs", {}), now["inputs"][str(path)]
            found += [name for name, output in recorded.items() if on_disk[name] != output["digest"]]
    return found


def corpora_of(args: argparse.Namespace, memory: Corpora) -> dict[str, Any]:
    """Place and digest of each corpus; no digest where it is not there yet."""
    found = {}
    for name, folder in args.corpus:
        digest = memory.digest(name, Path(folder)) if Path(folder).is_dir() else None
        found[name] = {"place": str(Path(folder).absolute()), "digest": digest}
    return found


def flatten(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones."""
    flat = {}
    for key, value in table.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def read_marker(path: Path) -> dict[str, Any]:
    """A marker; empty if there is none that can be read."""
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) and marker.get("version") in READABLE else {}


def reasons(marker: dict[str, Any], now: dict[str, Any], digests: Digests) -> Iterator[str]:
    """Differences between a marker and what the stage would be made of now."""
    if not marker:
        yield "it has not been completed yet"
        return
    if marker["version"] != VERSION:
        yield "its marker is of an older version, which cannot tell whether the code is the same"
        return
    if marker["options"] != now["options"]:
        yield f"options were '{marker['options']}', now '{now['options']}'"
    if (place := marker.get("place")) and not leads_to(place, now["place"]):
        yield f"it was made in {place}, where its tables point to"
    for name in marker.get("corpora", {}).keys() - now["corpora"].keys():
        yield f"{name} is an input no more"
    for name, corpus in now["corpora"].items():
        before = marker.get("corpora", {}).get(name)
        if before is None:
            yield f"{name} is a new input"
        elif before["digest"] != corpus["digest"]:
            yield f"{name}: {changed_files(now['changed'].get(name, []))}"
        elif not leads_to(before["place"], corpus["place"]) and not link_of(now["place"], name).is_symlink():
            yield f"{name} was in {before['place']}, is in {corpus['place']}"
    for name, value in now["inputs"].items():
        if name not in marker["inputs"]:
            yield f"{name} is a new input"
        elif value != marker["inputs"][name]:
            yield f"{name}: {difference(marker['inputs'][name], value)}"
    if changed := changed_code(marker["code"], now["code"]):
        yield f"code changed: {', '.join(changed[:3])}" + (
            f" and {len(changed) - 3} more files" if len(changed) > 3 else ""
        )
    for name, output in marker["outputs"].items():
        path = Path(name)
        if not path.is_file() or path.stat().st_size != output["size"] or digests.content(path) != output["digest"]:
            yield f"output missing or changed: {name}"
            return


def leads_to(path: str, place: str) -> bool:
    """True if a recorded path still is the folder that another one names, whatever either is called."""
    try:
        return Path(path).samefile(place)
    except OSError:
        return False


def link_of(place: str | Path, name: str) -> Path:
    """Link to a corpus by which the tables of data directories in `place` name its files, if they were made so."""
    return Path(place, "links", name)


def follow(place: Path, corpora: dict[str, Any]) -> None:
    """Have the links lead to where corpora are now that were moved, so that what was made of them holds."""
    for name, corpus in corpora.items():
        link = link_of(place, name)
        if link.is_symlink() and not leads_to(str(link), corpus["place"]):
            temporary = link.with_name(f"{name}.{os.getpid()}.tmp")
            temporary.symlink_to(corpus["place"])
            temporary.replace(link)


def changed_files(names: list[str]) -> str:
    """Words for the files of a corpus that have changed."""
    if not names:
        return "its files changed"
    return f"{len(names)} of its files changed, e.g. {names[0]}"


def changed_code(before: Code, now: Code) -> list[str]:
    """Files and functions whose content is only in one of two records, or, if none is, where a name means another thing."""
    for count in (1, 2):
        sides = [{tuple(digests[:count]) for digests in code.values()} for code in (before, now)]
        names = {name for code in (before, now) for name in code if tuple(code[name][:count]) in sides[0] ^ sides[1]}
        if names:
            return sorted(names)
    return []


def difference(before: Any, after: Any) -> str:
    """First difference between two values of an input."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return "its content changed"
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            if key.startswith(("/", "data", "exp")) or "/" in key:
                return f"{key} changed"
            return f"{key} was {before.get(key, 'not set')}, is {after.get(key, 'not set')}"
    return "changed"


def memories(marker_file: Path) -> tuple[Digests, Corpora]:
    """Digests that are remembered beside a marker."""
    return Digests(marker_file.with_name(".digests.json")), Corpora(marker_file.with_name(".digests.corpora"))


def check(args: argparse.Namespace) -> str:
    """Print why the stage has to run; with --begin, lock the folder and note what the stage is being made from."""
    marker_file, place = args.marker, args.marker.parent
    if args.begin:
        for folder in {path.parent for path in (marker_file, *args.inputs) if path.suffix == ".done"}:
            share(folder, args.begin)
    digests, corpora = memories(marker_file)
    names = {Path(file): str(Path(name)) for file, name in args.known_as}
    now = {
        "version": VERSION,
        "number": args.number,
        "place": str(place.absolute()),
        "options": args.options,
        "inputs": {names.get(path, str(path)): input_of_stage(path, digests) for path in args.inputs if path.exists()},
        "corpora": corpora_of(args, corpora),
        "changed": corpora.changed,
        "code": code_of_stage(args.recipe, args.folder, args.number, args.function, digests),
    }

    def reason() -> str:
        return "; ".join(list(reasons(read_marker(marker_file), now, digests))[:3])

    why = reason()
    if why and args.begin:
        place.mkdir(parents=True, exist_ok=True)
        newly = lock(place, args.begin)
        why = reason()  # another run may have completed it until now
        if newly and not why:
            release(place, args.begin)
    if why and args.begin:
        for name in foreign_inputs(args.inputs, now):
            print(f"stage_marker.py: {name} is not what its stage wrote; it is taken as it is", file=sys.stderr)
        del now["changed"]
        before = read_marker(marker_file) or read_marker(begun_file(marker_file)).get("before")  # for stale_sets.py
        begun = now | {"estimated": estimated_seconds(marker_file, args.folder), "before": before}
        marker_file.unlink(missing_ok=True)
        write_whole(begun_file(marker_file), json.dumps(begun))
    if not why:
        follow(place, now["corpora"])
    if place.is_dir():
        digests.save()
        with suppress(OSError):
            corpora.save(write_whole)
    return why


def begun_file(marker_file: Path) -> Path:
    """File of what a stage that has begun is made from."""
    return marker_file.with_name(f"{marker_file.name}.begun")


def estimated_seconds(marker_file: Path, folder: Path) -> float | None:
    """Seconds that a stage should take: as it took before, or by a dry run of the recipe in `folder`, or None."""
    if before := read_marker(marker_file):
        return before.get("seconds")
    of_failed_try = read_marker(begun_file(marker_file)).get("estimated")
    return expected(folder, marker_file) or of_failed_try


def finish(args: argparse.Namespace) -> None:
    """Write the marker, from what `check --begin` noted and the outputs; raises FileNotFoundError if one is missing."""
    digests, corpora = memories(args.marker)
    begun = begun_file(args.marker)
    marker = json.loads(begun.read_text(encoding="utf-8"))
    del marker["before"]
    for name, corpus in marker["corpora"].items():
        if corpus["digest"] is None:  # the stage has made it
            corpus["digest"] = corpora.digest(name, Path(corpus["place"]))
            corpora.save(write_whole)
    outputs = {str(path): {"size": path.stat().st_size, "digest": digests.content(path)} for path in args.outputs}
    write_whole(args.marker, json.dumps(marker | {"seconds": args.seconds, "outputs": outputs}, indent=1))
    begun.unlink()
    digests.save()
    if run := os.environ.get("RUN_ID"):
        rest(args.marker.parent, run)
    if seconds := marker.get("estimated"):
        print(round(seconds), end="")


def named_folder(text: str) -> tuple[str, str]:
    """Take a NAME=DIR argument apart."""
    name, _, folder = text.partition("=")
    return name, folder


def parse(argv: Iterable[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="print why the stage has to run")
    checking.add_argument("--begin", metavar="RUN", help="begin it: lock the folder for this run")
    checking.add_argument("--recipe", type=Path, required=True, help="file that holds the stage's lines")
    checking.add_argument("--folder", type=Path, required=True, help="folder of the recipe")
    checking.add_argument("--number", type=int, required=True)
    checking.add_argument("--function", default="main", help="shell function that the lines are in; main if in none")
    checking.add_argument("--options", required=True)
    checking.add_argument(
        "--known-as",
        nargs=2,
        action="append",
        default=[],
        metavar=("INPUT", "NAME"),
        help="name of an input in the marker",
    )
    checking.add_argument("--corpus", type=named_folder, action="append", default=[], metavar="NAME=DIR")
    checking.add_argument("marker", type=Path)
    checking.add_argument("inputs", type=Path, nargs="*")
    finishing = commands.add_parser("finish", help="write the marker")
    finishing.add_argument("--seconds", type=int, required=True)
    finishing.add_argument("marker", type=Path)
    finishing.add_argument("outputs", type=Path, nargs="*")
    unlocking = commands.add_parser("unlock", help="let other runs in")
    unlocking.add_argument("run")
    unlocking.add_argument("folders", type=Path, nargs="*")
    return parser.parse_args(argv)


def main(argv: Iterable[str] | None = None) -> None:
    args = parse(argv)
    try:
        if args.command == "check":
            print(check(args), end="")
        elif args.command == "finish":
            finish(args)
        else:
            end_processes(args.run, spared=ancestors(os.getpid()))
            for folder in args.folders:
                unlock(folder, args.run)
    except Busy as error:
        print(error, file=sys.stderr)
        sys.exit(3)
    except (OSError, ValueError, SyntaxError) as error:
        sys.exit(f"stage_marker.py: {error}")


if __name__ == "__main__":
    main()
