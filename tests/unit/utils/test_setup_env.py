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
case "$*" in
  "-c "*) exit ${OLD:-0} ;;
  --version) echo Python 3.11.0 ;;
  "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo venv >> calls ;;
  "-m pip install "*" --require-hashes -r requirements.lock") echo lock >> calls; exit ${FAIL:-0} ;;
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
        return done, (tmp_path / "calls").read_text().split()

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


def test_without_a_new_enough_python_the_remedy_is_named(checkout):
    bare = checkout.folder / "bin"
    bare.mkdir()
    for tool in ("bash", "dirname", "cat"):
        (bare / tool).symlink_to(shutil.which(tool))
    done, calls = checkout(OLD="1", PATH=str(bare))
    assert (done.returncode, calls) == (1, [])
    assert "no Python 3.11 or newer with venv found" in done.stderr


def test_the_lock_pins_every_dependency_by_version_and_hash():
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *chain.from_iterable(extras.values())]
    names = {re.match(r"[\w-]+", text)[0].replace("_", "-").lower() for text in wanted}
    entries = re.findall(r"^([a-z0-9-]+)==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", lock, re.M)
    pinned = {name for name, _ in entries}
    assert names <= pinned and len(names) > 20
    assert len(entries) == len(re.findall(r"^[a-z0-9]", lock, re.M))  # no line without hashes
