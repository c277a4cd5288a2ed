#!/usr/bin/env python3
"""Set the last speakers of a data directory apart for testing.

    local/split_test.py --num-test 10 data/vctk data/vctk_dev data/vctk_test

The order of the speakers is that of LC_ALL=C, whatever the file system.
"""

import argparse
import sys
from pathlib import Path

from sv.base.numbers import COUNT_OR_NONE
from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import subset_data_dir
from sv.kaldi.scp import DataDirError, byte_order, read_utt2spk


def last_speakers(speakers: set[str], num_test: int) -> set[str]:
    """The last `num_test` speakers; 0: all but nine of each whole ten, as the published code splits."""
    count = num_test or len(speakers) - len(speakers) // 10 * 9
    if not 2 <= count < len(speakers):
        raise DataDirError(f"cannot set {count} of {len(speakers)} speakers apart for testing; give another --num-test")
    return set(sorted(speakers, key=byte_order)[-count:])


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-test", type=COUNT_OR_NONE, default=0, help="speakers; 0: all but nine of each whole ten")
    parser.add_argument("source", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("test", type=Path)
    args = parser.parse_args(argv)
    try:
        utt2spk = read_utt2spk(args.source / "utt2spk")
        chosen = last_speakers(set(utt2spk.values()), args.num_test)
        for out, is_test in ((args.dev, False), (args.test, True)):
            subset_data_dir(args.source, out, [utt for utt, spk in utt2spk.items() if (spk in chosen) == is_test])
            write_manifests(out)
    except (DataDirError, OSError) as error:
        sys.exit(f"split_test.py: {error}")
    print(f"{len(chosen)} speakers for testing: {', '.join(sorted(chosen, key=byte_order))}")


if __name__ == "__main__":
    main()
