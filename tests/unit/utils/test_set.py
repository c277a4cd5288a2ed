"""A recipe's --set: what it changes is made again, and nothing else."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RECIPE = """#!/usr/bin/env bash
# Toy recipe of one stage, whose training is a copy of its configuration.

set -euo pipefail
. utils/options.sh
# Options
corpora= # none
config=conf/mini/exu_net.toml   # one
baseline=conf/ecapa_tdnn.toml # another
# End of options
. utils/stages.sh
. utils/parse_options.sh
common_defaults
cuda_cmd=(./train)
choose_systems "$config" "$baseline"
for conf in "${configs[@]}"; do
  stage_train "$conf" data/train data/valid data/.stage1.done --
done
echo "$(system_of "$config") $(feats_of "$config") ran $stages_run" >&2
"""
TRAIN = """#!/bin/sh
while [ "$1" != --config ]; do shift; done
conf=$2
while [ "$1" != --exp-dir ]; do shift; done
mkdir -p "$2/checkpoints"
cp "$conf" "$2/config.json"
cp "$conf" "$2/checkpoints/best.pt"
"""


@pytest.fixture
def recipe(tmp_path):
    """recipe(words): what a toy recipe says; the lines of its log without their times."""
    (tmp_path / "utils").symlink_to(ROOT / "utils")
    (tmp_path / "conf").symlink_to(ROOT / "egs" / "voxceleb1" / "conf")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".stage1.done").write_text("{}")
    (tmp_path / "run.sh").write_text(RECIPE)
    (tmp_path / "train").write_text(TRAIN)
    (tmp_path / "train").chmod(0o755)
    (tmp_path / "tmp").mkdir()
    places = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(*words):
        environment = os.environ | places | {"TMPDIR": str(tmp_path / "tmp")}
        done = subprocess.run(
            ["bash", "run.sh", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
        )
        return done.returncode, [line[20:] if line[:2] == "20" else line for line in done.stderr.splitlines()]

    run.dir = tmp_path
    return run


def test_what_is_set_is_trained_with_and_an_equal_value_redoes_nothing(recipe):
    _, said = recipe()
    assert said[-1].endswith(" ran 2")
    before = sorted(recipe.dir.rglob("exp/**/*"))
    code, said = recipe("--set", "loss.feature_mse=1", "--set=model.blocks=[1, 1, 1, 1]")
    assert (code, said[-1].rpartition(" ")[2]) == (0, "0"), said
    settings = ["--set", "train.lr=0.5", "--set", "loss.feature_mse=2"]
    code, said = recipe("--dry-run", *settings)
    assert "stage 4: train exu_net: would run: conf/mini/exu_net.toml: loss.feature_mse was 1.0, is 2" in said
    assert "stage 4: train ecapa_tdnn: would run: conf/ecapa_tdnn.toml: train.lr was 0.1, is 0.5" in said
    assert sorted(recipe.dir.rglob("exp/**/*")) == before and not list((recipe.dir / "tmp").iterdir())
    code, said = recipe(*settings)
    assert said[0] == "--set loss.feature_mse: not for conf/ecapa_tdnn.toml: no such key"
    assert said[-1].startswith("exu_net exp/feats/log_mel-") and said[-1].endswith(" ran 2")
    trained = tomllib.loads((recipe.dir / "exp/exu_net/config.json").read_text())
    assert (trained["train"]["lr"], trained["loss"]["feature_mse"]) == (0.5, 2)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--set", "train.lr=fast"], 1, "error: --set train.lr: conf/mini/exu_net.toml: 'train.lr' must be float, got 'fast'"),
        (["--set", "lr=1"], 2, "run.sh: option --set takes SECTION.KEY=VALUE, got 'lr=1'"),
        (["--set", "train.lr=1", "--set=train.lr=2"], 2, "run.sh: option --set has two values for train.lr, 1 and 2"),
        (["--set", "train.lr=1", "--config", "none", "--baseline", "none"], 1,
         "error: --set: no system is trained here, and models from elsewhere stay as they are"),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_one_line_before_any_work(recipe, words, code, message):
    found, said = recipe("--dry-run", *words)
    assert (found, said) == (code, [message])
    assert not (recipe.dir / "exp").exists() and not list((recipe.dir / "tmp").iterdir())


def test_no_recipe_uses_the_name_of_the_option_for_something_else() -> None:
    """A loop over a variable `set` would give the option a value."""
    for recipe in ROOT.glob("egs/*/run.sh"):
        assert "for set in" not in recipe.read_text(), recipe
