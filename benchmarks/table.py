#!/usr/bin/env python3
"""Processor time of a whole noise table, by stage; beside it, that of another checkout or of other options.

    python benchmarks/table.py -- --mini
    python benchmarks/table.py -- --corpora /data/corpora --model campplus
    python benchmarks/table.py --than "--runtime openvino --precision bf16" -- --corpora /data/corpora --model campplus
    python benchmarks/table.py --other ../before -- --mini

What follows -- are options of egs/voxceleb1/run.sh. Stages run one by one in a folder of their own; their processor seconds are
those of all their processes, which what else the machine does hardly changes. The last column is the first over the second.
"""

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGES = range(9)


def processor_seconds() -> float:
    """Of all ended children of this process."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(checkout: Path, options: list[str]) -> list[tuple[float, float]]:
    """Processor and wall seconds of each stage; raises CalledProcessError if one fails."""
    with tempfile.TemporaryDirectory() as folder:
        where = ["--data", f"{folder}/data", "--exp", f"{folder}/exp"]
        spent = []
        for stage in STAGES:
            started, used = time.perf_counter(), processor_seconds()
            only = ["--stage", str(stage), "--stop-stage", str(stage)]
            subprocess.run(
                [checkout / "egs/voxceleb1/run.sh", *options, *where, *only],
                check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            )  # fmt: skip
            spent.append((processor_seconds() - used, time.perf_counter() - started))
        return spent


def main() -> None:
    """Measure one or two tables and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--than", default="", help="further options of the second table")
    parser.add_argument("--other", type=Path, help="checkout that makes the second table")
    parser.add_argument("options", nargs="+", help="of run.sh, after --")
    args = parser.parse_args()
    tables = [measure(ROOT, args.options)]
    if args.than or args.other:
        tables.append(measure((args.other or ROOT).resolve(), [*args.options, *shlex.split(args.than)]))
    print("stage   " + "  ".join(["processor s    wall s"] * len(tables)) + ("   ratio" if len(tables) > 1 else ""))
    sums = [tuple(map(sum, zip(*spent[2:]))) for spent in tables]
    rows = [*enumerate(zip(*tables)), ("2-8", tuple(sums))]
    for stage, found in rows:
        ratio = f"  {found[0][0] / found[1][0]:6.2f}" if len(found) > 1 and found[1][0] else ""
        print(f"{stage:<6}  " + "  ".join(f"{used:11.1f}  {wall:8.1f}" for used, wall in found) + ratio)


if __name__ == "__main__":
    main()
