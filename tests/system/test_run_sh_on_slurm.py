"""The recipe on a real Slurm of four virtual nodes: the bytes of the local run, whatever dies on the way."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.timeout(900)


def on_slurm(slurm, recipe, work, *options):
    return recipe(work, "--launcher", "slurm", *options, env=slurm.env)


def wait_until(condition, process, seconds=300):
    deadline = time.time() + seconds
    while not (found := condition()):
        assert time.time() < deadline and process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    return found


def test_a_whole_run_gives_the_bytes_of_the_local_one(whole, slurm, recipe, finish, fingerprint):
    work = whole[0].with_name("on-slurm")
    code, output = finish(on_slurm(slurm, recipe, work))
    assert code == 0, output
    pristine = {
        name: data.replace(str(whole[0]).encode(), b"")
        for name, data in fingerprint(whole[0].with_name("pristine")).items()
    }
    assert fingerprint(work) == pristine
    log = (work / "exp/tiny/log/extract.2.log").read_text()
    assert "# Ended (code 0)" in log
    code, output = finish(on_slurm(slurm, recipe, work))
    assert "nothing to do" in output


@pytest.mark.parametrize(("folder", "task"), [("exp/feats", "compute_feats"), ("exp/tiny/embeddings", "extract")])
def test_a_node_killed_in_an_array_costs_time_only(work, slurm, recipe, finish, fingerprint, folder, task):
    before, outputs = fingerprint(work), []
    while len(outputs) < 4:  # tasks take seconds: one may have ended by the time that its node is killed
        shutil.rmtree(work / folder)
        process = on_slurm(slurm, recipe, work)
        node = wait_until(lambda: slurm.call("squeue", "-h", "-t", "running", "-n", task, "-o", "%N").split(), process)[
            0
        ]
        slurm.kill_node(node)
        try:
            code, output = finish(process)
        finally:
            slurm.start_node(node)
        assert code == 0, output
        assert fingerprint(work) == before
        outputs.append(output)
        if "its node failed (Slurm: NODE_FAIL)" in output:
            return
    pytest.fail("no task was ever on a node that was killed:\n" + "\n".join(outputs))


def weights(work):
    """Bytes of the best weights, and every number of the last checkpoint's system and step."""
    checkpoints = work / "exp/ranks/checkpoints"
    last = torch.load(checkpoints / "last.pt", weights_only=False)
    system = {name: tensor.numpy().tobytes() for name, tensor in last["system"].items()}
    return (checkpoints / "best.pt").read_bytes(), last["step"], system


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Options of a training in two processes that takes some seconds, with a checkpoint at every step."""
    config = tmp_path_factory.mktemp("config") / "ranks.toml"
    config.write_text(Path(__file__).with_name("tiny.toml").read_text().replace("num_epochs = 3", "num_epochs = 12"))
    return ["--config", config, "--num-ranks", "2", "--stage", "4", "--stop-stage", "4"]


@pytest.fixture(scope="module")
def undisturbed(whole, recipe, finish, ranks):
    """Checkpoints of the training in two processes on this machine."""
    folder = whole[0]
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("pristine"), folder, symlinks=True)
    code, output = finish(recipe(folder, *ranks))
    assert code == 0, output
    return weights(folder)


def ranks_of(work):
    """Processes of the training that writes into a folder, rank to process id."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            environment = dict(item.partition(b"=")[::2] for item in (process / "environ").read_bytes().split(b"\0"))
        except OSError:
            continue
        if b"sv.bin.train" in words and f"{work}/exp/ranks".encode() in words and b"RANK" in environment:
            found[int(environment[b"RANK"])] = int(process.name)
    return found


def wait_for_checkpoints(work, process):
    wait_until(lambda: list((work / "exp/ranks/checkpoints").glob("step-*.pt")), process)


@pytest.mark.parametrize(("num_nodes", "kill"), [(1, True), (2, False), (2, True)])
def test_two_ranks_on_one_or_two_nodes_with_one_of_them_killed(
    work, slurm, recipe, finish, ranks, undisturbed, num_nodes, kill
):
    if num_nodes == 2:
        process = on_slurm(slurm, recipe, work, "--num-nodes", "2", *ranks)
    else:
        process = recipe(work, *ranks)
    if kill:
        wait_for_checkpoints(work, process)
        os.kill(ranks_of(work)[1], signal.SIGKILL)
    code, output = finish(process)
    log = (work / "exp/ranks/log/train.log").read_text()
    assert code == 0, output + log
    assert bool(re.search(r"resuming at step [1-9]", log)) == kill
    assert weights(work) == undisturbed


def test_a_killed_node_of_a_training_on_two_nodes(work, slurm, recipe, finish, ranks, undisturbed):
    process = on_slurm(slurm, recipe, work, "--num-nodes", "2", *ranks)
    wait_for_checkpoints(work, process)
    nodes = slurm.call("squeue", "-h", "-n", "train", "-o", "%N").strip()
    _, second = slurm.call("scontrol", "show", "hostnames", nodes).split()
    slurm.kill_node(second)
    try:
        code, output = finish(process)
    finally:
        slurm.start_node(second)
    assert code == 0, output + (work / "exp/ranks/log/train.log").read_text()
    assert "attempt 2 of 3: 1 of 1 jobs again" in output
    assert weights(work) == undisturbed
