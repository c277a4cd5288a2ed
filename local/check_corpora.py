#!/usr/bin/env python3
"""Find the corpora, and print `<name><TAB><folder>` lines; or say what is missing, where it was looked for, how to get it.

local/check_corpora.py --corpora /corpora
local/check_corpora.py --voxceleb1 /a/VoxCeleb1 --musan /b/musan --noises noise,music,babble
local/check_corpora.py --corpora /corpora --names vctk,digits,musan
local/check_corpora.py --corpora /corpora --layouts    with the layout, empty if unknown, and the patterns of known ones
"""

import argparse
import sys
from pathlib import Path

from local.corpora import Corpus, read_corpora

WORDS = {"rooms": "--conditions reverb and far"}  # options that ask for a corpus, where it is not --noises


def option(name: str) -> str:
    """Command-line option that names a corpus' folder."""
    return f"--{name.replace('_', '-')}"


def candidates(corpus: Corpus, given: str, corpora: str) -> list[Path]:
    """Folders in which a corpus may lie."""
    if given:
        return [Path(given)]
    return [Path(corpora, folder) for folder in corpus.folders] if corpora else []


def parse(known: dict[str, Corpus], argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line, which has an option per corpus."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--corpora", default="", help="folder that holds them all")
    for name in known:
        parser.add_argument(option(name), default="", help="its own folder")
    parser.add_argument(
        "--names", default="voxceleb1,voxceleb2,musan,nonspeech100,rirs", help="what to look for (%(default)s)"
    )
    parser.add_argument("--noises", default="noise,music,babble,nonspeech", help="noise types of the tests")
    parser.add_argument("--layouts", action="store_true", help="print how they are laid out, too")
    args = parser.parse_args(argv)
    if unknown := set(args.names.split(",")) - set(known):
        parser.error(f"--names: unknown {sorted(unknown)}; known are {', '.join(known)}")
    return args


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and look."""
    known = read_corpora()
    args, missing = parse(known, argv), []
    for name in args.names.split(","):
        corpus, given = known[name], getattr(args, name)
        places = candidates(corpus, given, args.corpora)
        found = next((place for place in places if place.is_dir()), None)
        if found:
            layouts = (
                [corpus.layout(found), ", ".join(pattern for pattern, _ in corpus.layouts)] if args.layouts else []
            )
            print(name, found, *layouts, sep="\t")
        elif given or not corpus.optional or corpus.needed_for in args.noises.split(","):
            looked = f"looked for {', '.join(map(str, places))}"
            if not places:
                looked = f"neither --corpora nor {option(name)} was given"
            why = (
                f"\n    needed for {WORDS.get(corpus.needed_for, f'--noises {corpus.needed_for}')}"
                if corpus.optional
                else ""
            )
            missing.append(f"  {name}: {looked}{why}\n    to get it: {corpus.how_to_get}")
    if missing:
        sys.exit("missing corpora:\n" + "\n".join(missing) + "\n  ./run.sh --mini needs none of them")


if __name__ == "__main__":
    main()
