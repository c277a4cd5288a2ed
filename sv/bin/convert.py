"""Turn a published checkpoint into a model folder that `sv embed` reads.

sv convert exu_net ExU-Net.pt exp/published_exu_net
"""

import argparse
from pathlib import Path

from sv.bin.common import fail_in_one_line
from sv.convert import LEVEL_PREFIX, convert_checkpoint
from sv.convert_ge2e import PUBLISHED, convert_ge2e


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(
        prog="sv convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("system", choices=sorted([*LEVEL_PREFIX, *PUBLISHED]))
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path, help="model folder to write")
    args = parser.parse_args(argv)
    convert = convert_ge2e if args.system in PUBLISHED else convert_checkpoint
    convert(args.system, args.checkpoint, args.out)


if __name__ == "__main__":
    main()
