"""A tiny recipe (the synthetic corpus with few speakers, a system that trains in seconds), and real schedulers.

The tests start and stop the schedulers themselves, and skip, with the reason, where they cannot start.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs" / "voxceleb1"


@pytest.fixture(scope="session")
def corpora(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "corpora"
    script = ROOT / "local" / "make_synthetic_corpus.py"
    sizes = ["--num-train-speakers", "8", "--num-test-speakers", "3", "--num-babble", "12", "--num-utterances", "4"]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, script, *sizes, out], check=True, env=env, capture_output=True)
    return out


@pytest.fixture(scope="session")
def recipe(corpora):
    """recipe(work, *options) -> process that runs the recipe with everything below the folder `work`."""

    def start(work, *options, env=None):
        common = ["--corpora", corpora, "--data", work / "data", "--exp", work / "exp", "--nj", "2", "--num-gpus", "0"]
        small = ["--config", Path(__file__).with_name("tiny.toml"), "--baseline", "none", "--noises", "noise,babble"]
        command = [RECIPE / "run.sh", *common, *small, "--snrs", "0,10", "--valid-fraction", "0.25", *options]
        env = (env or os.environ) | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def finish():
    """finish(process) -> (exit code, output)."""

    def wait(process):
        output, _ = process.communicate(timeout=500)
        return process.returncode, output

    return wait


@pytest.fixture(scope="session")
def whole(tmp_path_factory, recipe, finish):
    """The folder of an undisturbed run, and what it printed."""
    work = tmp_path_factory.mktemp("recipe") / "run"
    code, output = finish(recipe(work))
    assert code == 0, output
    shutil.copytree(work, work.with_name("pristine"), symlinks=True)
    return work, output


@pytest.fixture(scope="session")
def fingerprint():
    """fingerprint(work) -> each file that a run ends with, without the times of day and its own folder's name."""

    def read(work):
        kept = {}
        for path in sorted((work / "exp").rglob("*")):
            relative = str(path.relative_to(work))
            if not path.is_file() or "/log/" in relative or "tensorboard" in relative or path.name == "train.jsonl":
                continue
            if path.suffix == ".html" or "/q/" in relative or path.name.startswith(("step-", "last", ".")):
                continue
            kept[relative] = path.read_bytes().replace(str(work).encode(), b"")
        return kept

    return read


@pytest.fixture
def work(whole):
    """The folder of the undisturbed run, as that left it."""
    folder = whole[0]
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("pristine"), folder, symlinks=True)
    return folder


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
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
        program = ROOT / "utils" / f"{type(scheduler).__name__.removeprefix('Virtual').lower()}.py"
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
