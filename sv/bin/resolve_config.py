"""Write the configurations of systems with single keys set otherwise, for a recipe's --set.

sv resolve_config --out exp/conf --set train.lr=1e-4 --set model.type=ecapa_tdnn conf/exu_net.toml conf/se_resnet.toml

--with FILE.toml sets all keys of a file, over which --set goes; --suffix _lm makes other names of the systems'.

Values are as in TOML; text needs no quotes. They are checked as those of a file are, and go to the systems that know the key,
at least one. For each system a line is printed: OUT/<digest>/<name>.toml, or the file itself if nothing is changed.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from sv.base.config import ConfigError, flatten, load_toml
from sv.base.files import write_text
from sv.base.settings import read_settings, toml_text
from sv.bin.common import command_parser, fail_in_one_line
from sv.system.settings import resolve


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("resolve_config", __doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="may be repeated")
    parser.add_argument("--with", dest="file", type=Path, metavar="FILE.toml", help="keys to set, in their tables")
    parser.add_argument("--suffix", default="", help="of the names of the files that are written")
    parser.add_argument("configs", type=Path, nargs="+", help="TOML files of systems")
    args = parser.parse_args(argv)
    if not args.set and not args.file:
        parser.error("name keys to set, by --set or --with")
    try:
        args.settings = read_settings(args.set)
    except ConfigError as error:
        parser.error(f"--set {error}")
    return args


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line, resolve all systems, then write."""
    args = parse(argv)
    of_file = flatten(load_toml(args.file)) if args.file else {}
    resolved, left_out = resolve(args.configs, of_file | args.settings)
    for line in left_out:
        print(line, file=sys.stderr)
    for path, tables in zip(args.configs, resolved):
        if tables is None:
            print(path)
            continue
        text = toml_text(tables)
        place = args.out / hashlib.sha256(text.encode()).hexdigest()[:12] / f"{path.stem}{args.suffix}.toml"
        write_text(place, text)
        print(place)


if __name__ == "__main__":
    main()
