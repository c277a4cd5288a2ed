"""Keep RESULTS.md and the results it shows together.

sv results record mini egs/voxceleb1/RESULTS.md exp/mini/exu_net exp/mini/se_resnet --note "Synthetic corpus."
sv results record enhancement RESULTS.md exp/exu_net exp/embedding_mlp_* --data data --against exu_net:cosine
sv results record mini RESULTS.md exp/c --data data --keep     add a system to those recorded before, or replace it
sv results record bf16 RESULTS.md exp/a exp/a-bf16 --data data --backends cosine --despite precision --pair a-bf16:a
sv results verify RESULTS.md                      compute every figure again from the scores stored beside it
sv results check egs/*/RESULTS.md                 fail if somebody edited a table by hand
sv results update egs/voxceleb1/RESULTS.md        make its tables anew from results/*.json beside it
"""

import argparse
import sys
from pathlib import Path

from sv.bin.common import fail_in_one_line
from sv.results.ledger import check, record, update, verify
from sv.results.rows import COMPARED

USAGE = "record NAME RESULTS.md EXP_DIR..., check RESULTS.md..., verify RESULTS.md... or update RESULTS.md..."
OTHERS = {
    "check": (check, "fail if a table was edited by hand"),
    "verify": (verify, "check, and compute every figure again from the scores"),
    "update": (update, "make the tables anew"),
}


def record_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `record`."""
    parser.add_argument("name", metavar="NAME", help="of results/NAME.json, beside RESULTS.md")
    parser.add_argument("markdown", type=Path, metavar="RESULTS.md")
    parser.add_argument("systems", type=Path, nargs="+", metavar="EXP_DIR", help="model folders with results.json")
    parser.add_argument("--note", default="", help="shown with the results, for instance what the corpus is not")
    several = {"action": "append", "default": []}
    parser.add_argument("--despite", **several, choices=COMPARED, help="compare systems that differ in this")
    text = "with --data: show each system's difference from this, by the paired test"
    tested = parser.add_mutually_exclusive_group()
    tested.add_argument("--against", **several, metavar="SYSTEM:BACKEND", help=text)
    text = "with --data: test these pairs alone; A+B is the mean of both"
    tested.add_argument("--pair", **several, metavar="FIRST:SECOND", help=text)
    parser.add_argument("--data", type=Path, help="folder of the data directories: store the scores, for verify")
    names = {"type": lambda text: text.split(","), "metavar": "NAME,..."}
    parser.add_argument("--backends", **names, default=[], help="record these; default: all")
    parser.add_argument("--keep", action="store_true", help="add to the table of NAME, or replace systems of it")


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line; record, check or update."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="sv results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="record|check|verify|update")
    text = "copy results to results/NAME.json and show them"
    record_options(commands.add_parser("record", help=text, allow_abbrev=False))
    for name, (_, text) in OTHERS.items():
        other = commands.add_parser(name, help=text, allow_abbrev=False)
        other.add_argument("markdown", type=Path, nargs="+", metavar="RESULTS.md")
    if argv and argv[0] not in (*commands.choices, "-h", "--help"):
        parser.error(f"{argv[0]} is not a command; write sv results {USAGE}")
    args = parser.parse_args(argv)
    if args.command == "record":
        for option in ("against", "pair", "keep"):
            if getattr(args, option) and not args.data:
                parser.error(f"--{option} needs --data")
        others = (args.note, args.despite, args.against, args.data, args.backends, args.keep, args.pair)
        record(args.markdown, args.name, args.systems, *others)
        update(args.markdown)
    else:
        for markdown in args.markdown:
            for line in OTHERS[args.command][0](markdown) or ():
                print(line)


if __name__ == "__main__":
    main()
