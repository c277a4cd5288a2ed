"""Real schedulers, started and stopped by the tests; tests skip, with the reason, where they cannot start."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
UTILS = HERE.parents[1] / "utils"


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start_slurm(**settings):
    virtual_slurm = load("virtual_slurm")
    root = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # short: sockets have paths of at most 107 bytes
    try:
        slurm = virtual_slurm.VirtualSlurm(root, **settings)
        slurm.start()
    except virtual_slurm.CannotStart as error:
        shutil.rmtree(root, ignore_errors=True)
        if os.environ.get("REQUIRE_SCHEDULERS"):
            raise
        pytest.skip(f"Slurm cannot start here: {error}")
    return slurm


def stop_slurm(slurm):
    slurm.stop()
    shutil.rmtree(slurm.root, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm_cluster():
    slurm = start_slurm()
    yield slurm
    stop_slurm(slurm)


@pytest.fixture
def slurm(slurm_cluster):
    """The cluster, with all nodes up."""
    slurm_cluster.wait_for_nodes()
    return slurm_cluster


@pytest.fixture
def forgetful_slurm():
    """A cluster that forgets a job soon after its end and takes small arrays only."""
    slurm = start_slurm(min_job_age=2, max_array_size=5)
    yield slurm
    stop_slurm(slurm)


@pytest.fixture
def submit(tmp_path):
    """submit(scheduler, *words) -> finished process of its launcher, in an empty folder."""

    def call(scheduler, *words, wait=True):
        program = UTILS / f"{type(scheduler).__name__.removeprefix('Virtual').lower()}.py"
        command = [sys.executable, program, *map(str, words)]
        pipes = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "cwd": tmp_path,
            "env": scheduler.env,
        }
        process = subprocess.Popen(command, **pipes, start_new_session=True)
        if not wait:
            return process
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    return call


@pytest.fixture(scope="session")
def sge():
    """Grid Engine; its folders are the system's, so there is one."""
    virtual_sge = load("virtual_sge")
    cluster = None
    try:
        cluster = virtual_sge.VirtualSge()
        cluster.start()
    except virtual_sge.CannotStart as error:
        if cluster:
            cluster.stop()
        if os.environ.get("REQUIRE_SCHEDULERS") and os.getuid() == 0:
            raise
        pytest.skip(f"Grid Engine cannot start here: {error}")
    yield cluster
    cluster.stop()


@pytest.fixture
def open_folder():
    """A folder that every user can write to."""
    folder = Path(tempfile.mkdtemp(prefix="sge-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
