#!/usr/bin/env python3
"""Put a Kaldi data directory right: sort its tables, keep the utterances that stand in all of them, say what was dropped.

utils/fix_data_dir.py data/mine

What was there is kept in data/mine/.backup. feats.scp, text, segments and the like are cut to the same utterances. Lines that
cannot be read at all are not a matter of sorting: they are named, and nothing is changed.
"""

import argparse
import shutil
import sys
from pathlib import Path

from sv.kaldi.data_dir import fix_data_dir
from sv.kaldi.scp import DataDirError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("data_dir", type=Path, metavar="DATA_DIR")
    data_dir = parser.parse_args().data_dir
    try:
        backup = data_dir / ".backup"
        backup.mkdir(exist_ok=True)
        for file in data_dir.iterdir():
            if file.is_file():
                shutil.copy2(file, backup / file.name)
        notes = fix_data_dir(data_dir)
    except (DataDirError, OSError) as error:
        sys.exit(f"fix_data_dir.py: {error}")
    for note in notes:
        print(note, file=sys.stderr)


if __name__ == "__main__":
    main()
