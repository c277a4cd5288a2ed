#!/usr/bin/env python3
"""Give every utterance of a data directory several ids, each to be cropped and augmented on its own in training.

    local/repeat_utterances.py --copies 100 data/vctk_phrase_train data/vctk_phrase_copies

Where a speaker has one recording, the copies are what a batch of several utterances a speaker is made of.
"""

import argparse
import sys
from pathlib import Path

from sv.base.numbers import COUNT
from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import write_data_dir
from sv.kaldi.scp import DataDirError, read_scp, read_table, read_utt2dur, read_utt2spk


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and repeat."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--copies", type=COUNT, default=100)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(argv)
    try:
        tables = [
            read(args.source / name)
            for name, read in (("wav.scp", read_scp), ("utt2spk", read_utt2spk), ("utt2dur", read_utt2dur))
        ]
        wav_scp, utt2spk, utt2dur = (
            {f"{utt}-copy{copy:04d}": value for utt, value in table.items() for copy in range(args.copies)}
            for table in tables
        )
        genders, digests = args.source / "spk2gender", args.source / "reco2digest"
        recorded = read_table(digests) if digests.exists() else {}
        write_data_dir(
            args.out,
            wav_scp=wav_scp,
            utt2spk=utt2spk,
            utt2dur=utt2dur,
            spk2gender=read_table(genders) if genders.exists() else None,
            reco2digest={
                f"{key}-copy{copy:04d}": value for key, value in recorded.items() for copy in range(args.copies)
            },
        )
        write_manifests(args.out)
    except (DataDirError, OSError) as error:
        sys.exit(f"repeat_utterances.py: {error}")
    print(f"{args.out.name}: {len(utt2spk)} utterances of {len(set(utt2spk.values()))} speakers")


if __name__ == "__main__":
    main()
