#!/usr/bin/env python3
"""Download a freely available corpus from OpenSLR and unpack it: musan (11 GB) or rirs (1.3 GB).

local/download_corpora.py /corpora musan
"""

import argparse
import sys
from pathlib import Path

from sv.data.manifests import import_lhotse

MIRROR = "https://www.openslr.org/resources"


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and download through lhotse."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("corpora", type=Path, help="folder that gets the corpus' own folder")
    parser.add_argument("corpus", choices=("musan", "rirs"))
    parser.add_argument("--url", default=MIRROR, help="mirror of OpenSLR's resources (%(default)s)")
    args = parser.parse_args(argv)
    import_lhotse()
    from lhotse.recipes import download_musan, download_rir_noise

    args.corpora.mkdir(parents=True, exist_ok=True)
    try:
        if args.corpus == "musan":
            download_musan(args.corpora, url=f"{args.url}/17/musan.tar.gz")
        else:
            download_rir_noise(args.corpora, url=f"{args.url}/28/rirs_noises.zip")
    except OSError as error:
        sys.exit(f"download_corpora.py: {args.corpus} from {args.url}: {error}")


if __name__ == "__main__":
    main()
