"""Break results down by properties of the test side, for the systems that were scored (stages 7 and 8).

sv breakdown --by room,distractor --data data --sets voices_devkit exp/exu_net exp/se_resnet

Reads <exp>/scores/<set>/*.scores and data/<set>/{trials,utt2spk,utt2<property>}; writes <exp>/breakdown.json and prints a
table per set and property, the systems beside each other. `sv results record` puts the tables into RESULTS.md. A property is
a table of test utterances, utt2room or utt2distractor; spk2gender is not.
"""

import argparse
import json
from pathlib import Path

from sv.base.files import write_text
from sv.base.layout import ModelFolder
from sv.base.numbers import SEED
from sv.bin.common import fail_in_one_line
from sv.results.breakdown import break_down_folder, tables_of
from sv.results.tables import aligned


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line, write breakdown.json of each system, print the tables."""
    parser = argparse.ArgumentParser(
        prog="sv breakdown",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--by", required=True, help="properties, separated by commas: room for utt2room, and so on")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data directories")
    parser.add_argument(
        "--sets", required=True, help="test sets, separated by commas; those without the tables are left out"
    )
    parser.add_argument("--seed", type=SEED, default=0, help="of the confidence intervals")
    parser.add_argument("systems", type=Path, nargs="+", metavar="EXP_DIR", help="model folders with scores")
    args = parser.parse_args(argv)
    properties = args.by.split(",")
    sets = [args.data / name for name in args.sets.split(",")]
    usable = [path for path in sets if all((path / f"utt2{by}").exists() for by in properties)]
    for path in [path for path in sets if path not in usable]:
        print(f"{path.name}: has no {' or '.join(f'utt2{by}' for by in properties)}; left out of the breakdown")
    systems = []
    for model in args.systems:
        rows = [row for data_dir in usable for row in break_down_folder(model, data_dir, properties, args.seed)]
        write_text(ModelFolder(model).breakdown, json.dumps(rows, indent=1) + "\n")
        systems.append(rows)
    for test_set, by, table in tables_of([rows for rows in systems if rows]):
        print(f"{test_set} by {by}\n{aligned(table)}\n")


if __name__ == "__main__":
    main()
