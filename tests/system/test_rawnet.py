"""RawNet2 from the waveform through the recipe, by two ranks, killed and resumed; two ranks and one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
TINY = HERE / "tiny_rawnet2.toml"


@pytest.mark.parametrize("system", ["rawnet2", "rawnet1_cnn"])
def test_two_ranks_give_the_gradients_and_centres_of_one(system, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    env = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    for out, launcher in (("one.pt", [sys.executable]), ("two.pt", torchrun)):
        command = [*launcher, HERE / "ddp_rawnet_gradients.py", system, tmp_path / out]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    expected, found = (torch.load(tmp_path / out, weights_only=True) for out in ("one.pt", "two.pt"))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        tolerance = 1e-4 * float(value.abs().max()) + 1e-6
        torch.testing.assert_close(found[name], value, rtol=0, atol=tolerance, msg=name)
    assert ("centre_loss.centres" in expected) == (system == "rawnet1_cnn")
    assert sum(bool(gradient.any()) for gradient in expected.values()) > 0.8 * len(expected)


def kill_with_ranks(leader):
    """Kill a process and all below it."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = dict(tuple(map(int, line.split())) for line in listed.splitlines())
    doomed = {leader}
    while grown := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
        doomed |= grown
    for pid in doomed:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_from_the_waveform_in_two_ranks_killed_and_resumed(whole, recipe, finish, tmp_path):
    """Stages 0 to 2 are those of the other tests' run; models go to folders of their own."""
    work, _ = whole
    options = ["--data", work / "data", "--config", TINY, "--num-ranks", "2"]
    code, output = finish(recipe(tmp_path, *options, "--b-vector", "1", "--exp", tmp_path / "once"))
    assert code == 0, output
    assert "stage 3: features of tiny_rawnet2: not needed, it reads waveforms" in output
    rows = json.loads((tmp_path / "once/tiny_rawnet2/results.json").read_text())
    conditions = {row["condition"] for row in rows}
    assert conditions == {"clean", *(f"{noise}-snr{snr}" for noise in ("noise", "babble") for snr in (0, 10))}
    assert {row["condition"] for row in rows if row["backend"] == "b_vector"} == conditions

    checkpoints = tmp_path / "again/tiny_rawnet2/checkpoints"
    process = recipe(tmp_path, *options, "--exp", tmp_path / "again", "--stop-stage", "4")
    deadline = time.time() + 200
    while not list(checkpoints.glob("step-*.pt")) and process.poll() is None and time.time() < deadline:
        time.sleep(0.005)
    kill_with_ranks(process.pid)
    process.communicate()
    assert not (checkpoints / "best.pt").exists()  # in the midst of the first epoch
    code, output = finish(recipe(tmp_path, *options, "--exp", tmp_path / "again", "--stop-stage", "4"))
    assert code == 0, output
    assert "resuming at step" in (checkpoints.parent / "log/train.log").read_text()
    best = (tmp_path / "once/tiny_rawnet2/checkpoints/best.pt").read_bytes()
    assert (checkpoints / "best.pt").read_bytes() == best
