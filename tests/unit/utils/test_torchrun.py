"""utils/torchrun.sh with stand-ins for Python and Slurm; tests/system runs the real ones."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "utils/torchrun.sh"
SCONTROL = (
    'case $2 in hostnames) echo n7; echo n8 ;; node) echo "NodeName=$3 NodeAddr=10.0.0.7 NodeHostName=$3" ;; esac'
)


@pytest.fixture
def torchrun(tmp_path):
    def call(*words, srun="exit 0", **env):
        for name, text in {
            "python": 'echo "python $*"; echo "threads $OMP_NUM_THREADS"',
            "scontrol": SCONTROL,
            "srun": srun,
        }.items():
            (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
            (tmp_path / name).chmod(0o755)
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "JOB_FOLDER": str(tmp_path)} | env
        return subprocess.run([SCRIPT, *words], capture_output=True, text=True, env=env)

    return call


NODES = {"SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "1000", "SLURM_JOB_NODELIST": "n[7-8]", "SLURM_CPUS_PER_TASK": "6"}
EVERY_NODE = 'shift 9; for SLURM_NODEID in 0 1; do export SLURM_NODEID; "$@"; done'


def test_one_rank_is_plain_python(torchrun):
    assert torchrun("1", "-m", "x", "a b").stdout.startswith("python -m x a b\n")


def test_ranks_of_one_machine(torchrun):
    done = torchrun("2", "-m", "x", SLURM_CPUS_PER_TASK="6")
    assert done.stdout.splitlines() == [
        "python -m torch.distributed.run --nproc-per-node 2 --max-restarts 3 --standalone -m x",
        "threads 3",
    ]
    assert "threads 1" in torchrun("2", "-m", "x", SLURM_CPUS_PER_TASK="6", OMP_NUM_THREADS="1").stdout


def test_ranks_of_two_nodes_meet_at_the_first(torchrun, tmp_path):
    done = torchrun("4", "-m", "x", srun=EVERY_NODE, **NODES)
    assert done.returncode == 0, done.stderr
    rendezvous = "--nnodes 2 --rdzv-backend c10d --rdzv-id 1000.0 --rdzv-endpoint 10.0.0.7:27000"
    line = f"python -m torch.distributed.run --nproc-per-node 2 --max-restarts 3 {rendezvous} -m x"
    assert done.stdout.splitlines() == [line, "threads 3"] * 2
    assert "27001" in torchrun("4", "-m", "x", srun=EVERY_NODE, SLURM_RESTART_COUNT="1", **NODES).stdout
    assert not list(tmp_path.glob("torchrun.1000*"))


def test_a_node_that_did_not_finish_fails_whatever_srun_says(torchrun):
    one_node = 'shift 9; SLURM_NODEID=0 "$@"; exit 0'
    done = torchrun("2", "-m", "x", srun=one_node, **NODES)
    assert (done.returncode, "node 1 of n[7-8] did not finish" in done.stderr) == (1, True)


def test_ranks_that_nodes_cannot_share_are_refused(torchrun):
    done = torchrun("3", "-m", "x", **NODES)
    assert (done.returncode, "3 ranks cannot be shared equally by 2 nodes" in done.stderr) == (2, True)
    assert torchrun("3").returncode == 2
