#!/usr/bin/env python3
"""RIRS_NOISES on disk -> data directory rirs: simulated and real room responses, first channel.

    local/prepare_rirs.py /corpora/RIRS_NOISES data

The corpus' noise recordings are left out. Responses of several channels are converted to their first.
"""

import argparse

from local.corpora import Corpus
from sv.data.corpus import Source, audio_files, run_preparation, write_set

CORPUS = Corpus(
    folders=("RIRS_NOISES", "rirs_noises"),
    how_to_get="local/download_corpora.py DIR rirs, or ./run.sh --download rirs (https://www.openslr.org/28, 1.3 GB)",
    layouts=(("simulated_rirs/*", "as published"),),
    optional=True,
    needed_for="rooms",
)

FOLDERS = ("simulated_rirs", "real_rirs_isotropic_noises")


def prepare(args: argparse.Namespace) -> None:
    """Write the data directory."""
    sources = []
    for folder in FOLDERS:
        for path in audio_files(args.root / folder):
            if "noise" in path.stem:
                continue
            name = "-".join(path.relative_to(args.root / folder).with_suffix("").parts)
            sources.append(Source(utterance=name, speaker=name, path=str(path), channel=0))
    write_set(args.data / "rirs", sources, nj=args.nj, max_bad=args.max_bad)


if __name__ == "__main__":
    run_preparation(prepare, __doc__)
