"""A tiny recipe: the synthetic corpus with few speakers, and a system that trains in seconds."""

import itertools
import os
import subprocess
import sys
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

    def start(work, *options):
        common = ["--corpora", corpora, "--data", work / "data", "--exp", work / "exp", "--nj", "2", "--num-gpus", "0"]
        small = ["--config", Path(__file__).with_name("tiny.toml"), "--baseline", "none", "--noises", "noise,babble"]
        command = [RECIPE / "run.sh", *common, *small, "--snrs", "0,10", "--valid-fraction", "0.25", *options]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
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
def new_folder(tmp_path_factory):
    """new_folder() -> a path for a run; all have one length, so that a copied run's files keep their sizes."""
    base, count = tmp_path_factory.mktemp("recipe"), itertools.count()
    return lambda: base / f"run-{next(count):03d}"


@pytest.fixture(scope="session")
def whole(new_folder, recipe, finish):
    """The folder of an undisturbed run, and what it printed."""
    work = new_folder()
    code, output = finish(recipe(work))
    assert code == 0, output
    return work, output
