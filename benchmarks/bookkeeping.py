#!/usr/bin/env python3
"""Stage 1 of a training set as large as VoxCeleb2's: processor seconds and largest memory of each program.

python benchmarks/bookkeeping.py [FOLDER]
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import print_table
from index import NUM_SPEAKERS, NUM_UTTERANCES, write_speech

from sv.kaldi.scp import invert, read_utt2spk, write_table

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = (
    ("validate", "utils/validate_data_dir.py {0}/speech"),
    ("hold speakers out, manifests", "local/split_validation.py --fraction 0.01 {0}/speech {0}/train {0}/valid"),
    ("combine", "utils/combine_data.py {0}/both {0}/train {0}/valid"),
    ("look for shared speakers", "local/check_leak.py {0}/train {0}/valid"),
)


def write_data(folder: Path) -> None:
    """A data directory of 1.1 million utterances, with the tables that stage 0 writes besides."""
    write_speech(folder / "speech")
    utt2spk = read_utt2spk(folder / "speech/utt2spk")
    write_table(folder / "speech/spk2utt", {speaker: " ".join(utts) for speaker, utts in invert(utt2spk).items()})
    digest = f"{'0' * 64} /corpora/VoxCeleb2/dev/aac"
    write_table(folder / "speech/reco2digest", {utt: f"{digest}/{utt.replace('-', '/')}.m4a" for utt in utt2spk})


def measure(command: str) -> list[str]:
    """Processor seconds and largest resident memory in GB of a program; raises CalledProcessError if it fails."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen([sys.executable, *command.split()], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return [f"{usage.ru_utime + usage.ru_stime:.0f}", f"{usage.ru_maxrss / 1e6:.2f}"]


def main() -> None:
    """Make the data directory, run the programs on it, and print what they take."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as folder:
        write_data(Path(folder))
        rows = [[title, *measure(command.format(folder))] for title, command in PROGRAMS]
    print_table(f"{NUM_SPEAKERS * NUM_UTTERANCES} utterances", ["program", "processor seconds", "peak GB"], rows)


if __name__ == "__main__":
    main()
