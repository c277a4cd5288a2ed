#!/usr/bin/env python3
"""Show what is in a Kaldi scp or ark: key, shape, mean, standard deviation, NaN count and first values of each record.

utils/show_ark.py exp/feats/log_mel-1a2b3c/voxceleb1_test/feats.scp | head
utils/show_ark.py --verify exp/exu_net/embeddings/voxceleb1_test/xvector.scp
"""

import argparse
import os
import sys
from pathlib import Path

import kaldiio
import numpy as np

from sv.kaldi.ark import iter_matrices, record_extent
from sv.kaldi.scp import DataDirError, read_scp


def describe(key: str, array: np.ndarray) -> str:
    """One line on one record."""
    shape = "x".join(map(str, array.shape))
    first = " ".join(f"{value:.4g}" for value in array.ravel()[:4])
    num_nan = int(np.isnan(array).sum())
    return f"{key} {shape} mean {array.mean():.5g} std {array.std():.5g} nan {num_nan} [ {first} ...]"


def verify(scp: Path) -> int:
    """Check each entry's header against its ark; print and count the broken ones."""
    broken = 0
    for key, rxspecifier in read_scp(scp).items():
        try:
            record_extent(rxspecifier)
        except (DataDirError, OSError) as error:
            print(f"{scp}: {key}: {error}", file=sys.stderr)
            broken += 1
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument(
        "--verify", action="store_true", help="check an scp's entries against the arks; exit 1 if one is broken"
    )
    parser.add_argument("table", type=Path, help="scp, or ark")
    args = parser.parse_args()
    try:
        if args.verify:
            sys.exit(f"{broken} broken entries" if (broken := verify(args.table)) else 0)
        records = kaldiio.load_ark(str(args.table)) if args.table.suffix == ".ark" else iter_matrices(args.table)
        for key, array in records:
            print(describe(key, array))
    except BrokenPipeError:  # `show_ark.py ... | head`: what Python flushes at its end must not complain again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (DataDirError, OSError, ValueError) as error:
        sys.exit(f"show_ark.py: {error}")


if __name__ == "__main__":
    main()
