"""utils/stale_sets.py: a stage makes the sets anew that need it, and no others."""

import os
import subprocess
from pathlib import Path

import pytest
from stale_sets import names_and_rest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """set -euo pipefail
stage=0 stop_stage=8 dry_run=false
. "{root}/utils/stage.sh"
sets=($SETS)
if stage_needs_run 1 make out/.made.done "x=${{X:-1}} sets=${{sets[*]##*/}} y=2" ${{EXTRA:-conf.toml}} "${{sets[@]/%//cuts}}"; then
  choose_stale 1 out/.made.done "${{sets[@]}}"
  for set in "${{stale[@]}}"; do
    mkdir -p "out/${{set##*/}}"
    cp "$set/cuts" "out/${{set##*/}}/feats" # the work
    echo "made ${{set##*/}}"
    [[ $set != "${{BREAK-}}" ]]
  done
  outputs=()
  for set in "${{sets[@]}}"; do outputs+=("out/${{set##*/}}/feats"); done
  mark_done 1 out/.made.done "" "${{outputs[@]}}"
fi
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "run.sh").write_text(SCRIPT.format(root=ROOT))
    (tmp_path / "conf.toml").write_text("lr = 1\n")
    for name in ("a", "b", "b-noise"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "cuts").write_text(name)

    def call(sets="data/a data/b", **env):
        environment = os.environ | {"SETS": sets} | env
        done = subprocess.run(["bash", "run.sh"], cwd=tmp_path, env=environment, capture_output=True, text=True)
        return [line.removeprefix("made ") for line in done.stdout.splitlines()], done.stderr, done.returncode

    call.dir = tmp_path
    return call


def test_the_first_time_all_are_made(recipe):
    made, said, _ = recipe()
    assert made == ["a", "b"]
    assert "up to date" not in said


def test_another_set_makes_no_other_anew(recipe):
    recipe()
    made, said, _ = recipe("data/b-noise data/b data/a")
    assert made == ["b-noise"]
    assert "stage 1: 1 of 3 sets; the others are up to date" in said
    assert recipe("data/b-noise data/b data/a")[0] == []
    assert (recipe.dir / "out/a/feats").read_text() == "a"


def test_a_set_that_is_left_out_makes_none_anew_and_is_kept_in_no_marker(recipe):
    recipe()
    made, said, code = recipe("data/a")
    assert (made, code) == ([], 0)
    assert "stage 1: 0 of 1 sets" in said
    assert recipe()[0] == ["b"]  # nobody watched over it meanwhile


@pytest.mark.parametrize("file", ["data/b/cuts", "out/b/feats"])
def test_a_set_whose_input_or_output_has_changed_is_made_alone(recipe, file):
    recipe()
    (recipe.dir / file).write_text("another")
    assert recipe()[0] == ["b"]


def test_an_output_that_is_gone_makes_its_set_alone(recipe):
    recipe()
    (recipe.dir / "out/a/feats").unlink()
    assert recipe()[0] == ["a"]


@pytest.mark.parametrize("change", ["option", "configuration", "another input", "code"])
def test_what_is_of_no_set_makes_all_anew(recipe, change):
    recipe()
    env = {"X": "2"} if change == "option" else {}
    if change == "configuration":
        (recipe.dir / "conf.toml").write_text("lr = 2\n")
    if change == "another input":
        (recipe.dir / "more.toml").write_text("lr = 1\n")
        env = {"EXTRA": "more.toml"}
    if change == "code":
        script = recipe.dir / "run.sh"
        script.write_text(script.read_text().replace("# the work", "&& true"))
    assert recipe(**env)[0] == ["a", "b"]


def test_a_stage_that_failed_goes_on_where_it_was_if_it_was_complete_before(recipe):
    recipe()
    for name in "ab":
        (recipe.dir / "data" / name / "cuts").write_text("new")
    made, _, code = recipe("data/a data/b data/b-noise", BREAK="data/b")
    assert (made, code) == (["a", "b"], 1)
    made, _, code = recipe("data/a data/b data/b-noise")
    assert (made, code) == (["a", "b", "b-noise"], 0)  # a and b are not what was recorded
    assert (recipe.dir / "out/b/feats").read_text() == "new"


def test_names_end_where_the_next_option_begins():
    assert names_and_rest("compress=false sets=a b-noise precision=bf16 runtime=x") == (
        {"a", "b-noise"},
        ["compress=false", "precision=bf16", "runtime=x"],
    )
