#!/usr/bin/env python3
"""Set the last speakers of a corpus apart for testing, in it and in other data directories of the same speakers.

    local/split_test.py --num-test 10 data vctk vctk_phrase

Writes <data>/<set>_dev and <data>/<set>_test for each set. The order is that of LC_ALL=C, whatever the file system; the
speakers are the first set's.
"""

import argparse
import sys
from pathlib import Path

from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import subset_data_dir
from sv.kaldi.scp import DataDirError, byte_order, read_utt2spk


def test_speakers(speakers: set[str], num_test: int) -> set[str]:
    """The last `num_test` speakers; 0: all but nine of each whole ten, as the published code splits."""
    count = num_test or len(speakers) - len(speakers) // 10 * 9
    if not 2 <= count < len(speakers):
        raise DataDirError(f"cannot set {count} of {len(speakers)} speakers apart for testing; give --num-test")
    return set(sorted(speakers, key=byte_order)[-count:])


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-test", type=int, default=0, help="speakers; 0: all but nine of each whole ten")
    parser.add_argument("data", type=Path, help="folder of the data directories")
    parser.add_argument("sets", nargs="+", metavar="SET")
    args = parser.parse_args(argv)
    try:
        tables = {name: read_utt2spk(args.data / name / "utt2spk") for name in args.sets}
        wanted = test_speakers(set(tables[args.sets[0]].values()), args.num_test)
        for name, utt2spk in tables.items():
            for part, is_test in (("dev", False), ("test", True)):
                out = args.data / f"{name}_{part}"
                subset_data_dir(args.data / name, out, [utt for utt in utt2spk if (utt2spk[utt] in wanted) == is_test])
                write_manifests(out)
    except (DataDirError, OSError) as error:
        sys.exit(f"split_test.py: {error}")
    print(f"{len(wanted)} speakers set apart for testing: {', '.join(sorted(wanted, key=byte_order))}")


if __name__ == "__main__":
    main()
