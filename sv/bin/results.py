"""Keep RESULTS.md and the results it shows together.

sv results --record mini --note "Synthetic corpus." egs/voxceleb1/RESULTS.md exp/mini/exu_net exp/mini/se_resnet
sv results --record enhancement --data data --against exu_net:cosine RESULTS.md exp/exu_net exp/embedding_mlp_*
sv results egs/voxceleb1/RESULTS.md               make its tables anew from results/*.json beside it
sv results --check egs/voxceleb1/RESULTS.md       fail if somebody edited a table by hand
"""

import argparse
from pathlib import Path

from sv.bin.common import existing_scp, fail_in_one_line
from sv.results.ledger import check, record, update
from sv.results.tables import COMPARED


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line; record, update or check."""
    parser = argparse.ArgumentParser(
        prog="sv results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--record", metavar="NAME", help="first copy results to results/NAME.json")
    parser.add_argument("--note", default="", help="shown with what is recorded, for instance what the corpus is not")
    parser.add_argument(
        "--despite", action="append", default=[], choices=COMPARED, help="compare systems that differ in this"
    )
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="SYSTEM:BACKEND",
        help="with --record and --data: show each system's difference from this, by the paired test",
    )
    parser.add_argument("--data", type=Path, help="folder of the data directories, for their trials")
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("markdown", type=Path, metavar="RESULTS.md")
    parser.add_argument("systems", type=Path, nargs="*", metavar="EXP_DIR", help="with --record: model folders")
    args = parser.parse_args(argv)
    if bool(args.record) != bool(args.systems) or (args.record and args.check):
        parser.error("--record NAME and model folders go together, and not with --check")
    if bool(args.against) != bool(args.data) or (args.against and not args.record):
        parser.error("--against and --data go together, with --record")
    if args.record:
        for folder in args.systems:
            existing_scp(folder / "results.json", "run stage 7 first")
        record(args.markdown, args.record, args.systems, args.note, args.despite, args.against, args.data)
    if args.check:
        check(args.markdown)
    else:
        update(args.markdown)


if __name__ == "__main__":
    main()
