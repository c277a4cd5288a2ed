#!/usr/bin/env python3
"""Estimate files, disk and time of a stage from recorded runs; utils/stage.sh calls this in a dry run.

    utils/stage_estimate.py --recipe run.sh --number 3 MARKER INPUT...      prints `files bytes seconds source`

The record is what the stage left when it last ran here. If it never did, it is what the same stage left elsewhere below the
recipe's folder (the mini run, say), in proportion to the size of what the stages before it made, as far as that is known.
Nothing is printed if there is no record.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stage_marker import read_marker


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Probable needs of a stage, and what they are known from."""

    files: int
    num_bytes: int
    seconds: int
    source: str

    def __str__(self) -> str:
        return f"{self.files} {self.num_bytes} {self.seconds} {self.source}"


def input_bytes(markers: list[dict[str, Any]]) -> int:
    """Size of what the stages before made."""
    return sum(output["size"] for marker in markers for output in marker["outputs"].values())


def recorded(marker: dict[str, Any], scale: float, source: str) -> Estimate:
    """Needs that a marker records, times `scale`."""
    outputs = marker["outputs"].values()
    total = sum(output["size"] for output in outputs)
    seconds = max(1, round(marker["seconds"] * scale))
    return Estimate(files=len(outputs), num_bytes=round(total * scale), seconds=seconds, source=source)


def estimate(recipe: Path, number: int, marker: Path, inputs: list[Path]) -> Estimate | None:
    """The estimate for a stage; None without any record."""
    if own := read_marker(marker):
        return recorded(own, 1.0, "as when it last ran here")
    before = [read_marker(path) for path in inputs if path.suffix == ".done"]
    others = [path for part in ("data", "exp") for path in sorted((recipe.parent / part).rglob(f".stage{number}.done"))]
    for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True):
        other = read_marker(path)
        theirs = [read_marker(Path(name)) for name in other.get("inputs", {}) if name.endswith(".done")]
        if not other:
            continue
        if before and all(before) and all(theirs) and input_bytes(theirs):
            scale = input_bytes(before) / input_bytes(theirs)
            return recorded(other, scale, f"{scale:.2g} times that of {path.parent}")
        return recorded(other, 1.0, f"that of {path.parent}, whatever its size")
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("marker", type=Path)
    parser.add_argument("inputs", type=Path, nargs="*")
    args = parser.parse_args()
    found = estimate(args.recipe, args.number, args.marker, args.inputs)
    print(found or "", end="")


if __name__ == "__main__":
    main()
