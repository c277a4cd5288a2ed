#!/usr/bin/env python3
"""The utterances of a data directory whose speakers another one has.

local/subset_speakers.py data/vctk_valid data/vctk_phrase data/vctk_phrase_valid
"""

import argparse
import sys
from pathlib import Path

from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import subset_data_dir
from sv.kaldi.scp import DataDirError, read_utt2spk


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and select."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("like", type=Path, help="data directory with the wanted speakers")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(argv)
    try:
        wanted = set(read_utt2spk(args.like / "utt2spk").values())
        utt2spk = read_utt2spk(args.source / "utt2spk")
        utts = [utt for utt, speaker in utt2spk.items() if speaker in wanted]
        if not utts:
            raise DataDirError(f"{args.source}: none of its speakers is in {args.like}")
        subset_data_dir(args.source, args.out, utts)
        write_manifests(args.out)
    except (DataDirError, OSError) as error:
        sys.exit(f"subset_speakers.py: {error}")
    print(f"{args.out.name}: {len({utt2spk[utt] for utt in utts})} of {len(wanted)} speakers of {args.like.name}")


if __name__ == "__main__":
    main()
