#!/usr/bin/env python3
"""Markers of stages, and the reasons why a stage has to run again; utils/stage.sh calls this.

    utils/stage_marker.py check [--begin RUN] --recipe run.sh --folder . --number 3 --options OPTIONS MARKER INPUT...
    utils/stage_marker.py finish --seconds 12 MARKER OUTPUT...
    utils/stage_marker.py unlock RUN FOLDER...

A marker holds what the stage was made of: its options, digests of its inputs, of the code it ran (its lines of the
recipe, or the function of utils/stages.sh, and the Python files they reach, without comments) and of its outputs. An input
that is a marker stands for that stage's outputs, and a TOML file for its values. What files of code are called does not
matter: a module may be renamed or moved (stage_code.py). Contents are digested once, and again only where size or times
have changed. `check` prints why the stage has to run, and nothing if it need not. With --begin it also keeps other runs out
of the marker's folder, until `unlock`. Exit code 3 says that another run is there.

A marker of the version before this one is good for estimates, but its stage runs once more: its digests of code hang on
the names that files had then.
"""

import argparse
import hashlib
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from run_lock import Busy, lock, unlock
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
        """Write the memory, if it has changed."""
        if self.changed:
            write_whole(self.path, json.dumps(self.known))


def digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def input_of_stage(path: Path, digests: Digests) -> Any:
    """Digests of an input: a marker's outputs, a configuration's values, or its content."""
    if path.suffix == ".done":
        return {name: output["digest"] for name, output in read_marker(path).get("outputs", {}).items()}
    if path.suffix == ".toml":
        return flatten(tomllib.loads(path.read_text(encoding="utf-8")))
    return digests.content(path)


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


def check(args: argparse.Namespace) -> str:
    """Print why the stage has to run; with --begin, lock the folder and note what the stage is being made from."""
    marker_file = args.marker
    digests = Digests(marker_file.with_name(".digests.json"))
    now = {
        "version": VERSION,
        "number": args.number,
        "options": args.options,
        "inputs": {str(path): input_of_stage(path, digests) for path in args.inputs if path.exists()},
        "code": code_of_stage(args.recipe, args.folder, args.number, args.function, digests),
    }

    def reason() -> str:
        return "; ".join(list(reasons(read_marker(marker_file), now, digests))[:3])

    why = reason()
    if why and args.begin:
        marker_file.parent.mkdir(parents=True, exist_ok=True)
        newly = lock(marker_file.parent, args.begin)
        why = reason()  # another run may have completed it until now
        if newly and not why:
            unlock(marker_file.parent, args.begin)
    if why and args.begin:
        marker_file.unlink(missing_ok=True)
        write_whole(marker_file.with_name(f"{marker_file.name}.begun"), json.dumps(now))
    if marker_file.parent.is_dir():
        digests.save()
    return why


def finish(args: argparse.Namespace) -> None:
    """Write the marker, from what `check --begin` noted and the outputs; raises FileNotFoundError if one is missing."""
    digests = Digests(args.marker.with_name(".digests.json"))
    begun = args.marker.with_name(f"{args.marker.name}.begun")
    outputs = {str(path): {"size": path.stat().st_size, "digest": digests.content(path)} for path in args.outputs}
    marker = json.loads(begun.read_text(encoding="utf-8")) | {"seconds": args.seconds, "outputs": outputs}
    write_whole(args.marker, json.dumps(marker, indent=1))
    begun.unlink()
    digests.save()


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
            for folder in args.folders:
                unlock(folder, args.run)
    except Busy as error:
        print(error, file=sys.stderr)
        sys.exit(3)
    except (OSError, ValueError, SyntaxError) as error:
        sys.exit(f"stage_marker.py: {error}")


if __name__ == "__main__":
    main()
