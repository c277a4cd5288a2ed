#!/usr/bin/env python3
"""Keep what a dry run expects stages to take, for the run that follows; utils/stage.sh calls this.

    utils/expectations.py FOLDER MARKER SECONDS

It is in FOLDER/.expected.json, by the markers' places: FOLDER is the recipe's, as those of data may not be there yet.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

NAME = ".expected.json"


def read(folder: Path) -> dict[str, float]:
    """Seconds by the place of the stage's marker; empty if there is nothing that can be read."""
    try:
        known = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def expected(folder: Path, marker: Path) -> float | None:
    """Seconds that the last dry run expected of a stage; None if there was none."""
    seconds = read(folder).get(str(marker.absolute()))
    return seconds if isinstance(seconds, int | float) else None


def keep(folder: Path, marker: Path, seconds: float) -> None:
    """Note what a stage is expected to take; in a folder that is only read, nothing."""
    known = read(folder)
    known[str(marker.absolute())] = seconds
    temporary = folder / f"{NAME}.{os.getpid()}.tmp"
    with suppress(OSError):
        temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
        temporary.replace(folder / NAME)


if __name__ == "__main__":
    keep(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
