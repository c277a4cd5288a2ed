"""Turn a published checkpoint into a model folder that `sv embed` reads.

sv convert exu_net ExU-Net.pt exp/published_exu_net
sv convert resnet_se34v2 baseline_v2_ap.model exp/baseline_v2_ap --input-scale 32768
sv convert my_linear_net model000000040.model exp/published_mlp --option activation=elu
"""

import argparse
from pathlib import Path

from sv.bin.common import fail_in_one_line
from sv.published.convert import OPTIONS, SYSTEMS, UsageError, convert_checkpoint


def key_and_value(text: str) -> tuple[str, str]:
    """Split KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    return key, value


def parser_of_options() -> argparse.ArgumentParser:
    """Build the parser; every option of a reader can be spelt --option KEY=VALUE or --key VALUE."""
    parser = argparse.ArgumentParser(
        prog="sv convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("system", choices=sorted(SYSTEMS))
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path, help="model folder to write")
    parser.add_argument(
        "--option",
        dest="options",
        action="append",
        default=[],
        type=key_and_value,
        metavar="KEY=VALUE",
        help="of the system's reader (repeatable): the options below",
    )
    for name, owners in OPTIONS.items():
        option = next(iter(owners.values()))
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest="options",
            action="append",
            type=lambda value, name=name: (name, value),
            metavar=f"{{{','.join(option.shown_choices)}}}" if option.choices else "N",
            help=f"{option.help} ({', '.join(owners)})",
        )
    return parser


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and convert."""
    parser = parser_of_options()
    args = parser.parse_args(argv)
    try:
        notes = convert_checkpoint(args.system, args.checkpoint, args.out, dict(args.options))
    except UsageError as error:
        parser.error(str(error))
    print(*notes, sep="\n", end="\n" if notes else "")


if __name__ == "__main__":
    main()
