#!/usr/bin/env python3
"""Check Kaldi data directories; print every broken rule with file and line, and exit 1 if there is one.

utils/validate_data_dir.py data/voxceleb1_dev data/voxceleb1_test
"""

import argparse
import sys

from sv.kaldi.data_dir import validate_data_dir


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("data_dirs", nargs="+", metavar="DATA_DIR")
    problems = [problem for path in parser.parse_args().data_dirs for problem in validate_data_dir(path)]
    for problem in problems[:50]:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(f"{len(problems)} problem(s)")


if __name__ == "__main__":
    main()
