"""utils/test_versions.sh with a stand-in for Python that only records what it is asked to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STAND_IN = """#!/bin/bash
echo "$*" >> "$CALLS"
case "$*" in
  "-m venv --clear "*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m pip list"*) echo 'torch 2.7.0' ;;
  "-m pytest"*) exit ${FAIL:-0} ;;
esac
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "utils").mkdir()
    shutil.copy(ROOT / "utils/test_versions.sh", tmp_path / "utils")
    (tmp_path / "Makefile").write_text("LOCKED := recipes dev  # extras\n")
    (tmp_path / "pyproject.toml").write_text('    "torch>=2.7",  # x\n    "lhotse>=1.30",\n    "numpy>=2",\n')
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)

    def call(*words, **env):
        calls = tmp_path / "calls"
        calls.write_text("")
        given = os.environ | {"PYTHON": str(python), "CALLS": str(calls), "TORCH": ""} | env
        done = subprocess.run(
            ["bash", tmp_path / "utils/test_versions.sh", *words], capture_output=True, text=True, env=given
        )
        left = sorted(path.name for path in tmp_path.glob(".venv*"))
        return done, calls.read_text().splitlines(), left

    return call


def test_the_oldest_are_the_lower_bounds_and_the_environment_goes_when_tests_pass(run):
    done, calls, left = run("oldest")
    assert (done.returncode, left) == (0, []), done.stderr
    assert calls[1].endswith("--editable .[recipes,dev] torch==2.7 lhotse==1.30")
    assert calls[-1] == "-m pytest -n 2 --dist loadfile tests/unit"


def test_the_newest_are_whatever_pip_finds_and_a_failure_keeps_them(run):
    done, calls, left = run("newest", "tests/unit/base", "-x", TORCH="cpu", TORCH_INDEX="https://mirror/cpu", FAIL="1")
    assert (done.returncode, left) == (1, [".venv.newest"])
    assert calls[1].endswith("--editable .[recipes,dev] --extra-index-url https://mirror/cpu")
    assert calls[-1] == "-m pytest -n 2 --dist loadfile tests/unit/base -x"
    assert "rm -r .venv.newest" in done.stderr


@pytest.mark.parametrize("words", [(), ("new",)])
def test_other_words_are_wrong_usage(run, words):
    done, calls, left = run(*words)
    assert (done.returncode, calls, left) == (2, [], [])
