"""Cost of a launcher itself: a job of run.py against plain bash, and an array of short tasks on a local Slurm.

    python benchmarks/launcher.py              run.py alone
    python benchmarks/launcher.py --slurm      also utils/slurm.py, on a private Slurm of four virtual nodes

Kaldi's slurm.pl (as its own code describes it) polls from 0.1 s on, growing to 3 s, and asks the scheduler at every tenth
wait; a fresh folder costs it 5 s.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import median_seconds

ROOT = Path(__file__).resolve().parents[1]


def launcher(name: str, *words: str, env: dict[str, str] | None = None) -> None:
    """Run a launcher in an empty folder; raises CalledProcessError with its words if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, ROOT / "utils" / name, *words], cwd=folder, env=env, check=True)


def here() -> None:
    """A job, and an array of 100, that do nothing."""
    cases = {
        "bash": lambda: subprocess.run(["bash", "-c", "true > x.log 2>&1"], cwd="/tmp", check=True),
        "python": lambda: subprocess.run([sys.executable, "-c", "import subprocess"], check=True),
        "run.py": lambda: launcher("run.py", "x.log", "true"),
        "bash, 100": lambda: subprocess.run(["bash", "-c", "for i in $(seq 100); do /bin/true; done"], check=True),
        "run.py, 100": lambda: launcher("run.py", "JOB=1:100", "x.JOB.log", "/bin/true"),
    }
    seconds = median_seconds(cases, num_rounds=5)
    for name, value in seconds.items():
        print(f"{name:12} {1000 * value:8.1f} ms")
    print(f"run.py on top of starting Python: {1000 * (seconds['run.py'] - seconds['python']):.1f} ms")
    print(f"run.py in an array: {10 * (seconds['run.py, 100'] - seconds['run.py']):.2f} ms a task")


def on_slurm() -> None:
    """A job against sbatch --wait, and 1000 tasks in one submission."""
    spec = importlib.util.spec_from_file_location("virtual_slurm", ROOT / "tests/system/virtual_slurm.py")
    virtual_slurm = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(virtual_slurm)
    root = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    slurm = virtual_slurm.VirtualSlurm(root)
    slurm.start()
    try:
        sbatch = ["sbatch", "--wait", "--output=/dev/null", "--wrap", "true"]
        cases = {
            "sbatch --wait": lambda: subprocess.run(sbatch, env=slurm.env, check=True, capture_output=True),
            "slurm.py": lambda: launcher("slurm.py", "x.log", "true", env=slurm.env),
        }
        for name, value in median_seconds(cases, num_rounds=3).items():
            print(f"{name:14} {value:6.2f} s")
        started = time.perf_counter()
        launcher("slurm.py", "JOB=1:1000", "x.JOB.log", "true", env=slurm.env)
        print(f"slurm.py, 1000 tasks in one submission: {time.perf_counter() - started:.0f} s")
    finally:
        slurm.stop()
        shutil.rmtree(root)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slurm", action="store_true")
    args = parser.parse_args()
    os.chdir("/tmp")
    here()
    if args.slurm:
        on_slurm()


if __name__ == "__main__":
    main()
