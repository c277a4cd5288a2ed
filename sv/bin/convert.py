"""Turn a published checkpoint into a model folder that `sv embed` reads.

sv convert exu_net ExU-Net.pt exp/published_exu_net
sv convert resnet_se34v2 baseline_v2_ap.model exp/baseline_v2_ap --input-scale 32768
sv convert my_linear_net model000000040.model exp/published_mlp --activation elu
"""

import argparse
from pathlib import Path

from sv.bin.common import fail_in_one_line
from sv.published.convert import CONVERTIBLE, convert_checkpoint
from sv.published.ge2e import PUBLISHED, convert_ge2e


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(
        prog="sv convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("system", choices=sorted([*CONVERTIBLE, *PUBLISHED]))
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path, help="model folder to write")
    parser.add_argument(
        "--input-scale",
        type=float,
        choices=(1.0, 32768.0),
        help="range of the audio that a network of voxceleb_trainer was trained on, if its file does not tell",
    )
    parser.add_argument("--activation", choices=("relu", "elu"), help="of my_linear_net, whose file does not tell")
    args = parser.parse_args(argv)
    if args.system in PUBLISHED:
        convert_ge2e(args.system, args.checkpoint, args.out)
        return
    for line in convert_checkpoint(args.system, args.checkpoint, args.out, args.input_scale, args.activation):
        print(line)


if __name__ == "__main__":
    main()
