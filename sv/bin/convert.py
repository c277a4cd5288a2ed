"""Turn a published checkpoint into a model folder that `sv embed` reads.

sv convert exu_net ExU-Net.pt exp/published_exu_net
"""

import argparse
from pathlib import Path

from sv.bin.common import fail_in_one_line
from sv.convert import CONVERTIBLE, convert_checkpoint


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(
        prog="sv convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("system", choices=CONVERTIBLE)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path, help="model folder to write")
    args = parser.parse_args(argv)
    convert_checkpoint(args.system, args.checkpoint, args.out)


if __name__ == "__main__":
    main()
