#!/usr/bin/env python3
"""Those of a stage's sets that it has to make; what it made of the others still holds. utils/stage.sh calls this.

    utils/stale_sets.py exp/feats/fbank-1a2b3c/.stage3.done data/test data/test-noise-snr0

Reads what `stage_marker.py check --begin` noted: what the stage is being made of, and what it was made of before. A set
holds if code, place and options are the same but for the list of sets, if inputs of no set are, and its own, and if its
outputs are on disk as they were written. A file is of the set that its folder is called after. Prints the others, one a line.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stage_marker import begun_file, changed_code, leads_to, memories


def names_and_rest(options: str) -> tuple[set[str], list[str]]:
    """Names of the sets in a stage's options, `sets=a b c`, and the other options."""
    names, rest, within = set(), [], False
    for word in options.split():
        within = word.startswith("sets=") or (within and "=" not in word)
        if within:
            names.add(word.removeprefix("sets="))
        else:
            rest.append(word)
    return names, rest


def inputs_by_set(marker: dict[str, Any], names: set[str]) -> dict[str, dict[str, Any]]:
    """Digests of the inputs of each set, by name; those of no set are under the name ""."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in marker["inputs"].items():
        files = value if name.endswith(".done") else {name: value}
        for path, digest in files.items():
            folder = Path(path).parent.name
            found.setdefault(folder if folder in names else "", {})[path] = digest
    return found


def sets_that_hold(marker_file: Path) -> Iterator[str]:
    """Names of the sets of a stage that has begun whose outputs it need not make again."""
    now = json.loads(begun_file(marker_file).read_text(encoding="utf-8"))
    before = now["before"]
    if not before or before["version"] != now["version"] or changed_code(before["code"], now["code"]):
        return
    (old_names, old_rest), (new_names, new_rest) = (names_and_rest(each["options"]) for each in (before, now))
    names = old_names | new_names
    old, new = inputs_by_set(before, names), inputs_by_set(now, names)
    if old_rest != new_rest or not leads_to(before["place"], now["place"]) or old.get("") != new.get(""):
        return
    digests, _ = memories(marker_file)
    for name in sorted(old_names & new_names):
        outputs = {path: each for path, each in before["outputs"].items() if Path(path).parent.name == name}
        as_written = all(
            Path(path).is_file() and digests.content(Path(path)) == outputs[path]["digest"] for path in outputs
        )
        if outputs and as_written and old.get(name) == new.get(name):
            yield name
    digests.save()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("marker", type=Path)
    parser.add_argument("sets", nargs="+", metavar="SET")
    args = parser.parse_args(argv)
    try:
        hold = set(sets_that_hold(args.marker))
    except (OSError, ValueError) as error:
        sys.exit(f"stale_sets.py: {error}")
    for path in args.sets:
        if Path(path).name not in hold:
            print(path)


if __name__ == "__main__":
    main()
