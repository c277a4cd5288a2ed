"""utils/stage.sh: when a stage is up to date, and what it says when it is not."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """set -euo pipefail
stage=${{STAGE:-0}} stop_stage=${{STOP:-8}} dry_run=${{DRY:-false}}
. "{root}/utils/stage.sh"
if stage_needs_run 0 first .first "seed=${{SEED:-1}}" source; then
  cp source middle
  ${{BREAK:-true}}
  mark_done 0 .first "seed=${{SEED:-1}}" middle
fi
if stage_needs_run 1 second .second "" .first; then
  cp middle result
  mark_done 1 .second "" result
fi
echo "ran $stages_run"
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "run.sh").write_text(SCRIPT.format(root=ROOT))
    (tmp_path / "source").write_text("1")

    def call(**env):
        return subprocess.run(["bash", "run.sh"], capture_output=True, text=True, cwd=tmp_path, env=os.environ | env)

    call.dir = tmp_path
    return call


def test_a_second_run_does_nothing(recipe):
    assert recipe().stdout == "ran 2\n"
    done = recipe()
    assert done.stdout == "ran 0\n"
    assert "stage 0: first: up to date" in done.stderr
    assert "stage 1: second: up to date" in done.stderr


def test_a_deleted_output_redoes_the_stage_and_what_depends_on_it(recipe):
    recipe()
    (recipe.dir / "middle").unlink()
    dry = recipe(DRY="true")
    assert "stage 0: first: would run: output missing or changed: middle" in dry.stderr
    assert "stage 1: second: would run: .first will be made anew" in dry.stderr
    assert not (recipe.dir / "middle").exists()
    assert recipe().stdout == "ran 2\n"


def test_a_truncated_output_redoes_the_stage(recipe):
    recipe()
    (recipe.dir / "result").write_text("")
    assert recipe().stdout == "ran 1\n"
    assert (recipe.dir / "result").read_text() == "1"


def test_a_newer_input_and_another_option_make_a_stage_stale(recipe):
    recipe()
    marker = recipe.dir / ".second"
    os.utime(recipe.dir / "source", ns=(0, marker.stat().st_mtime_ns + 10**9))
    assert "source is newer" in recipe(DRY="true").stderr
    assert "options were 'seed=1', now 'seed=2'" in recipe(DRY="true", SEED="2").stderr


def test_a_failing_stage_leaves_no_marker_and_stops_the_recipe(recipe):
    done = recipe(BREAK="false")
    assert done.returncode == 1
    assert "ran" not in done.stdout
    assert not (recipe.dir / ".first").exists()
    assert "it has not been completed yet" in recipe().stderr


def test_a_stage_asked_for_without_its_input_names_the_input(recipe):
    done = recipe(STAGE="1")
    assert done.returncode == 1
    assert "stage 1 (second): missing input .first; run the stages before it first" in done.stderr


def test_stage_and_stop_stage_choose(recipe):
    assert recipe(STOP="0").stdout == "ran 1\n"
    assert recipe(STAGE="1").stdout == "ran 1\n"
