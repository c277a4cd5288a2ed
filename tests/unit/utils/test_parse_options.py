"""utils/parse_options.sh, sourced by a small script as the recipes do."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """#!/usr/bin/env bash
# Toy recipe.
#
#   toy.sh --nj 3
set -euo pipefail
# Options
nj=2            # parallel jobs
data_dir=       # where data go
dry_run=false   # run nothing
# End of options
. "{root}/utils/parse_options.sh"
echo "$nj|$data_dir|$dry_run"
"""


@pytest.fixture
def toy(tmp_path):
    script = tmp_path / "toy.sh"
    script.write_text(SCRIPT.format(root=ROOT))

    def call(*args):
        return subprocess.run(["bash", script, *args], capture_output=True, text=True, cwd=tmp_path)

    return call


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], "2||false"),
        (["--nj", "8"], "8||false"),
        (["--nj=8", "--data-dir=a=b c"], "8|a=b c|false"),
        (["--data_dir", "x y"], "2|x y|false"),
        (["--dry-run"], "2||true"),
        (["--dry-run", "false", "--nj", "4"], "4||false"),
        (["--dry-run", "--nj", "4"], "4||true"),
    ],
)
def test_values_reach_their_variables(toy, args, expected):
    done = toy(*args)
    assert (done.returncode, done.stdout.strip()) == (0, expected)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--jn", "8"], "unknown option --jn"),
        (["--PATH", "x"], "unknown option --PATH"),
        (["--nj"], "option --nj needs a value"),
        (["--nj", "--dry-run"], "option --nj needs a value"),
        (["--nj", "many"], "option --nj takes a whole number, got 'many'"),
        (["--dry-run=maybe"], "option --dry-run takes true or false, got 'maybe'"),
        (["stray"], "unexpected argument 'stray'"),
    ],
)
def test_misuse_is_one_line_that_lists_the_known_options(toy, args, message):
    done = toy(*args)
    assert done.returncode == 2
    assert message in done.stderr
    assert "known options: --nj --data-dir --dry-run" in done.stderr
    assert done.stdout == ""


def test_an_option_of_lines_may_be_given_again(toy, tmp_path):
    script = tmp_path / "toy.sh"
    script.write_text(script.read_text().replace("# Options\n", "repeatable_lines='data_dir'\n# Options\n", 1))
    assert toy("--data-dir", "a,b", "--nj=3", "--data-dir=c d").stdout == "3|a,b\nc d|false\n"


def test_values_are_never_evaluated(toy, tmp_path):
    done = toy("--data-dir", "$(touch evaluated)")
    assert done.stdout.strip() == "2|$(touch evaluated)|false"
    assert not (tmp_path / "evaluated").exists()


def test_help_prints_the_header_and_each_option_with_its_default(toy):
    done = toy("--help")
    assert done.returncode == 0
    assert "toy.sh --nj 3" in done.stdout
    assert "--nj                 parallel jobs (2)" in done.stdout
    assert "--data-dir           where data go\n" in done.stdout


@pytest.mark.parametrize("word", ["--nj\nx=5", "--nj[$(touch evaluated)]=5", "--\n=1", "--=5", "--nj=5\n", "--nj=5\nx"])
def test_odd_words_are_one_line(toy, tmp_path, word):
    done = toy(word)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert not (tmp_path / "evaluated").exists()


def test_a_program_checks_the_values_if_the_script_names_one(toy, tmp_path):
    checker = tmp_path / "checker"
    checker.write_text('#!/bin/sh\nshift\necho "$*" > seen\nexit 1\n')
    checker.chmod(0o755)
    script = tmp_path / "toy.sh"
    script.write_text(script.read_text().replace("# Options\n", f"option_checker={checker}\n# Options\n", 1))
    done = toy("--nj=3", "--data-dir", "a b")
    assert (done.returncode, done.stdout) == (2, "")
    assert (tmp_path / "seen").read_text() == "nj=3 data_dir=a b dry_run=false\n"


def test_what_follows_the_options_is_none_of_them_whatever_its_comment(toy, tmp_path):
    script = tmp_path / "toy.sh"
    script.write_text(
        script.read_text().replace("# End of options\n", "# End of options\n# Options of others:\nother=3\n")
    )
    assert toy("--nj", "8").stdout == "8||false\n"
    done = toy("--other", "4")
    assert (done.returncode, "unknown option --other; known options: --nj --data-dir --dry-run\n" in done.stderr) == (
        2,
        True,
    )


@pytest.mark.parametrize("name", ["protocol", "b-vector", "common-options", "repeatable-options"])
def test_a_recipe_takes_no_option_that_only_others_have(name):
    done = subprocess.run([ROOT / "egs/voices/run.sh", f"--{name}", "1", "--dry-run"], capture_output=True, text=True)
    assert (done.returncode, f"unknown option --{name}; known options: --config" in done.stderr) == (2, True)
