"""Keep RESULTS.md and the results it shows together.

sv results record mini egs/voxceleb1/RESULTS.md exp/mini/exu_net exp/mini/se_resnet --note "Synthetic corpus."
sv results record enhancement RESULTS.md exp/exu_net exp/embedding_mlp_* --data data --against exu_net:cosine
sv results record mini RESULTS.md exp/a exp/b --data data --backends cosine,plda      store the scores, too
sv results record mini RESULTS.md exp/c --data data --keep     add a system to those recorded before, or replace it
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
    parser.add_argument(
        "--despite", action="append", default=[], choices=COMPARED, help="compare systems that differ in this"
    )
    text = "with --data: show each system's difference from this, by the paired test"
    parser.add_argument("--against", action="append", default=[], metavar="SYSTEM:BACKEND", help=text)
    parser.add_argument("--data", type=Path, help="folder of the data directories: store the scores, for verify")
    parser.add_argument("--backends", type=_names, default=[], metavar="NAME,...", help="record these; default: all")
    parser.add_argument("--keep", action="store_true", help="add to the table of NAME, or replace systems of it")


def _names(text: str) -> list[str]:
    return text.split(",")


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
        if args.against and not args.data:
            parser.error("--against needs --data")
        if args.keep and not args.data:
            parser.error("--keep needs --data")
        others = (args.note, args.despite, args.against, args.data, args.backends, args.keep)
        record(args.markdown, args.name, args.systems, *others)
        update(args.markdown)
    else:
        for markdown in args.markdown:
            for line in OTHERS[args.command][0](markdown) or ():
                print(line)


if __name__ == "__main__":
    main()
