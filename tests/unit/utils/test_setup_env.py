"""utils/setup_env.sh with a stand-in for Python that only records what it is asked to do."""

import os
import re
import shutil
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STAND_IN = """#!/bin/bash
said="$*"
case "$said" in
  "-c "*) exit ${OLD:-0} ;;
  --version) echo Python 3.11.0 ;;
  "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo venv >> calls ;;
  "-m pip install "*" --require-hashes -r requirements.lock") echo lock >> calls; exit ${FAIL:-0} ;;
  "-m pip install "*" --no-deps --index-url "*) echo "torch-from ${said#*--index-url }" >> calls; exit ${FAIL:-0} ;;
  "-m pip install "*" --no-deps --require-hashes -r .venv/cpu.lock") echo "rest $(tr '\n' ' ' < .venv/cpu.lock)" >> calls ;;
  "-m pip "*) echo package >> calls ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "utils").mkdir()
    shutil.copy(ROOT / "utils/setup_env.sh", tmp_path / "utils")
    (tmp_path / "requirements.lock").write_text("a==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "python").write_text(STAND_IN)
    (tmp_path / "python").chmod(0o755)

    def setup(**env):
        (tmp_path / "calls").write_text("")
        done = subprocess.run(
            ["bash", tmp_path / "utils/setup_env.sh"],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHON": str(tmp_path / "python")} | env,
        )
        return done, (tmp_path / "calls").read_text().splitlines()

    setup.folder = tmp_path
    return setup


def test_once_and_again_only_when_the_lock_changes(checkout):
    done, calls = checkout()
    assert (done.returncode, calls) == (0, ["venv", "lock", "package"]), done.stderr
    assert checkout()[1] == []
    (checkout.folder / "requirements.lock").touch()
    assert checkout()[1] == []
    (checkout.folder / "requirements.lock").write_text("a==2\n")
    assert checkout()[1] == ["venv", "lock", "package"]


def test_a_set_up_cut_off_half_way_is_built_again(checkout):
    done, calls = checkout(FAIL="1")
    assert (done.returncode, calls) == (1, ["venv", "lock"])
    assert checkout()[1] == ["venv", "lock", "package"]
    assert checkout()[1] == []


CPU_LOCK = (
    "# by uv\na==1 \\\n    --hash=sha256:0\ncuda-bindings==13\nnvidia-nvtx==1\ntorch==2.11.0 \\\n    --hash=sha256:1\n"
)
CPU_LOCK += "torchaudio==2.11.0\ntriton==3\nz==2\n"
REST = "rest a==1 \\     --hash=sha256:0 z==2 "


def test_a_torch_for_cpus_comes_from_its_index_and_the_rest_from_the_lock(checkout):
    (checkout.folder / "requirements.lock").write_text(CPU_LOCK)
    done, calls = checkout(TORCH="cpu")
    index = "https://download.pytorch.org/whl/cpu"
    assert calls == ["venv", f"torch-from {index} torch==2.11.0+cpu torchaudio==2.11.0+cpu", REST, "package"]
    assert "0.5 GB to download" in done.stderr
    assert checkout()[1] == []  # without TORCH it stays as it is
    with (checkout.folder / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    done, calls = checkout(TORCH_INDEX="https://mirror/cpu")
    assert calls[1].startswith("torch-from https://mirror/cpu ") and done.returncode == 0
    done, calls = checkout(TORCH="cuda")
    assert calls == ["venv", "lock", "package"]
    assert "3.0 GB to download" in done.stderr and "TORCH=cpu make env" in done.stderr
    assert checkout()[1] == []


def test_an_index_without_a_torch_for_cpus_is_named(checkout):
    (checkout.folder / "requirements.lock").write_text(CPU_LOCK)
    done, calls = checkout(TORCH="cpu", FAIL="1", TORCH_INDEX="https://mirror/cpu")
    assert (done.returncode, calls[0], len(calls)) == (1, "venv", 2)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("setup: torch==2.11.0+cpu and torchaudio==2.11.0+cpu cannot be had from https://mirror/cpu;")
    assert checkout(TORCH="cpu")[0].returncode == 0  # built anew, as the stamp was not written


def test_another_word_for_torch_is_refused_before_anything_is_made(checkout):
    done, calls = checkout(TORCH="gpu")
    assert (done.returncode, calls, done.stderr) == (2, [], "setup: TORCH=gpu: cpu and cuda are known\n")


def test_without_a_new_enough_python_the_remedy_is_named(checkout):
    bare = checkout.folder / "bin"
    bare.mkdir()
    for tool in ("bash", "dirname", "cat", "grep"):
        (bare / tool).symlink_to(shutil.which(tool))
    done, calls = checkout(OLD="1", PATH=str(bare))
    assert (done.returncode, calls) == (1, [])
    assert "no Python 3.11 or newer with venv found" in done.stderr


def test_the_lock_pins_every_dependency_by_version_and_hash():
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    locked = re.search(r"^LOCKED := ([^#\n]+)", (ROOT / "Makefile").read_text(), re.M)[1].split()
    wanted = [*project["dependencies"], *chain.from_iterable(extras[name] for name in locked)]
    names = {re.match(r"[\w-]+", text)[0].replace("_", "-").lower() for text in wanted}
    entries = re.findall(r"^([a-z0-9-]+)==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", lock, re.M)
    pinned = {name for name, _ in entries}
    assert names <= pinned and len(names) > 20
    assert len(entries) == len(re.findall(r"^[a-z0-9]", lock, re.M))  # no line without hashes
