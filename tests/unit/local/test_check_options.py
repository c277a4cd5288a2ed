"""Options of recipes: refused in one line before any work, dry or not; their values never reach arithmetic or expansion."""

import contextlib
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.check_options import OPTIONS, problem
from sv.base.numbers import NumberError, real, whole

ROOT = Path(__file__).resolve().parents[3]
MANY = settings(max_examples=10_000, derandomize=True, deadline=None, database=None)
SEEDS = st.integers(0, 2**64)
ODD = ["", " 5", "5 ", "+5", "-5", "٣", "１", "5\n", "\n", "\0", "08", "0x5", "1_0", "9" * 30, "1e400", "nan", "inf", "-inf", "-0",
       "$(touch X)", "PATH[$(touch X)]", "`touch X`", "a,b", "noise", "noise,,music", "5,", ".", "/dev/null", "-rf", "é", "\udcff",
       "5", "1", "0", "0.5", "1e-3", "true", "local", "none", "mc01"]  # fmt: skip
DEFAULTS = dict(line.split("#")[0].strip().split("=", 1) for line in
    (ROOT / "utils/options.sh").read_text().partition("# Options\n")[2].partition("# End")[0].splitlines())  # fmt: skip


def recipe(name, *words, cwd=None):
    """The last line of a recipe's stderr, its exit code, and what it made in the folder."""
    command = [ROOT / f"egs/{name}/run.sh", "--mini", "--data", f"{cwd}/data", "--exp", f"{cwd}/exp", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(cwd)})
    return done.returncode, done.stdout + done.stderr


WRONG = [
    ("--nj", "abc", "takes a whole number from 1 to 10000, got 'abc'"),
    ("--nj", "0", "takes a whole number from 1"),
    ("--nj", "$(touch X)", "takes a whole number"),
    ("--num-ranks", "PATH[$(touch X)]", "takes a whole number from 1 to 100000, got 'PATH[$(touch X)]'"),
    ("--num-gpus", "two", "takes a whole number from 0"),
    ("--num-nodes", "0", "takes a whole number from 1"),
    ("--stage", "08", "takes a whole number from 0 to 8, got '08'"),
    ("--stage", "9", "takes a whole number from 0 to 8, got '9'"),
    ("--stage", "", "takes a whole number"),
    ("--stop-stage", "٣", "takes a whole number"),
    ("--seed", "x", "takes a whole number"),
    ("--seed", "-1", "takes a whole number"),
    ("--seed", "9" * 20, "takes a whole number"),
    ("--seed", "1\n2", "takes"),
    ("--top-n", "0", "takes a whole number from 1"),
    ("--lda-dim", "-3", "takes a whole number from 1"),
    ("--max-bad", "nan", "takes a number from 0 to 1, got 'nan'"),
    ("--max-bad", "2", "takes a number from 0 to 1"),
    ("--max-bad", "-1", "takes a number from 0 to 1"),
    ("--valid-fraction", "2", "takes a number above 0 below 1"),
    ("--valid-fraction", "0", "takes a number above 0"),
    ("--noises", "wind", "unknown noise type wind; known are noise, music, babble"),
    ("--noises", "noise,noise", "a condition appears twice"),
    ("--noises", "noise,", "unknown noise type"),
    ("--noises", "*", "unknown noise type *"),
    ("--snrs", "abc", "expected finite numbers of dB separated by commas, got 'abc'"),
    ("--snrs", "5,nan", "expected finite numbers of dB"),
    ("--snrs", "5,,10", "expected finite numbers of dB"),
    ("--snrs", " 5", "expected finite numbers of dB"),
    ("--download", "voxceleb1", "takes musan and rirs"),
    ("--launcher", "pbs", "takes local, slurm or sge, got 'pbs'"),
    ("--set", "lr=1", "takes SECTION.KEY=VALUE, got 'lr=1'"),
    ("--set", "train.lr=1\n", "takes SECTION.KEY=VALUE, got ''"),
    ("--set", "train.lr=1\ntrain.lr=2", "has two values for train.lr, 1 and 2"),
    ("--set", "train.lr=\x07", "takes one line of text"),
    ("--exp", "-rf", "takes a path"),
    ("--corpus", "-x", "takes a path"),
    ("--corpus", "/dev/null", "takes a folder of speakers or a table that is there, got '/dev/null'"),
    ("--corpus", "/none", "takes a folder of speakers or a table that is there, got '/none'"),
    ("--num-test", "0.2x", "takes a whole number of speakers, or a share of them as 0.2, got '0.2x'"),
    ("--num-test", "1.0", "takes a whole number of speakers, or a share"),
    ("--num-test", "-1", "takes a whole number of speakers, or a share"),
    ("--max-targets", "0", "takes a whole number from 1"),
    ("--config", "-x.toml", "takes a path"),
    ("--b-vector", "1.5", "takes a whole number from 0"),
    *(
        ("--draws", value, f"takes a whole number from 1 to 99, got '{value}'")
        for value in ("0", "-1", "x", "1.5", "100", "")
    ),
]


@pytest.mark.parametrize(("option", "value", "message"), WRONG)
def test_a_value_that_makes_no_sense_is_named(option, value, message):
    name = option[2:].replace("-", "_")
    said = problem({"noises": "noise,music", "snrs": "5", name: value})
    assert said.startswith(option), said
    assert message in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(("name", "words"), [
    ("voxceleb1", ["--num-ranks=PATH[$(touch X)]"]),
    ("voxceleb1", ["--num-gpus", "x[$(touch X)]"]),
    ("voxceleb1", ["--b-vector", "PATH[$(touch X)]"]),
    ("voxceleb1", ["--stage", "08"]),
    ("voxceleb1", ["--draws", "0"]),
    ("vctk", ["--draws=1.5"]),
    ("vctk", ["--num-nodes", "PATH[$(touch X)]"]),
    ("vctk", ["--noises", "nonspeech"]),
    ("vctk", ["--noises="]),
    ("vctk", ["--conditions", "codec-flac"]),
    ("voices", ["--by", "weather"]),
    ("voices", ["--nj", "$(touch X)"]),
])  # fmt: skip
@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_recipe_refuses_it_in_one_line_before_anything_is_made(tmp_path, monkeypatch, name, words, dry):
    monkeypatch.chdir(tmp_path)
    code, said = recipe(name, *dry, *words, cwd=tmp_path)
    assert (code, len(said.splitlines())) == (2, 1), said
    assert words[0].partition("=")[0] in said
    assert not list(tmp_path.iterdir())
    assert not list((ROOT / f"egs/{name}").glob("X"))


def test_a_corpus_of_no_speakers_is_refused_with_the_options(tmp_path):
    for name in ("1.wav", "2.wav"):
        (tmp_path / "own" / "anna").mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / "anna" / name).touch()
    assert problem({"corpus": f"{tmp_path}/own"}).startswith(
        f"--corpus {tmp_path}/own: one speaker, anna; it takes one"
    )
    (tmp_path / "own.csv").write_text("path,name\n")
    assert problem({"corpus": f"{tmp_path}/own.csv"}).startswith(
        f"--corpus {tmp_path}/own.csv:1: no column speaker among"
    )
    for later in ({"stage": "1"}, {"mini": "true"}):
        assert problem({"corpus": f"{tmp_path}/own"} | later) == ""


def test_right_values_are_taken():
    right = DEFAULTS | {
        "noises": "noise,music",
        "snrs": "-5,0,2.5",
        "max_bad": "1e-3",
        "seed": "4294967295",
        "nj": "12",
        "set": "train.lr=1\nloss.type=pairs",
    }
    assert problem(right) == ""
    assert problem(DEFAULTS | {"noises": "", "snrs": "", "by": "", "note": "it's; $(x) \\ é"}) == ""


def test_the_last_stage_cannot_come_before_the_first():
    assert problem({"stage": "5", "stop_stage": "3"}) == "--stop-stage 3 comes before --stage 5"
    assert problem({"stage": "5", "stop_stage": "5"}) == ""


def test_folders_are_folders(tmp_path):
    (tmp_path / "file").touch()
    for name in ("data", "exp"):
        assert problem({name: f"{tmp_path}/file"}) == f"--{name} takes a folder, but {tmp_path}/file is a file"
        assert problem({name: f"{tmp_path}/file/below"}).endswith(f"{tmp_path}/file is a file")
        assert problem({name: f"{tmp_path}/new/er"}) == ""
        assert "File name too long" in problem({name: "x" * 300})
    missing = {"corpora": f"{tmp_path}/none"}
    assert problem(missing) == f"--corpora takes a folder that is there, got '{tmp_path}/none'"
    assert problem({"musan": f"{tmp_path}/file"}).startswith("--musan takes a folder")
    for later in ({"stage": "1"}, {"mini": "true"}, {"download": "musan"}):
        assert problem(missing | later) == ""


def test_the_table_knows_every_numeric_option_of_every_recipe():
    declared = {}
    for path in [ROOT / "utils/options.sh", *ROOT.glob("egs/*/run.sh")]:
        text = path.read_text().partition("# Options\n")[2].partition("# End of options")[0]
        declared |= dict(re.findall(r"^([a-z][a-z0-9_]*)=([^# ]*)", text, re.M))
    numeric = {name for name, value in declared.items() if re.fullmatch(r"[\d.]+", value)}
    assert len(declared) > 40 and len(numeric) > 12
    assert declared.keys() - OPTIONS.keys() <= {"note", "snrs"}  # the latter is checked with noises
    assert numeric <= OPTIONS.keys()


# Not --corpus, whose value "." has the repository searched for recordings.
NAMES, PIECES = [*(name for name in OPTIONS if name != "corpus"), "snrs", "note"], [*"0123456789.-+eE_ ", *ODD]
READERS = ((whole(-5, 500), int), (real(-5, 500), float), (real(above=0), float))


@MANY
@given(SEEDS)
def test_any_options_are_right_or_refused_in_one_line(seed):
    rng = random.Random(seed)
    names = rng.choices(NAMES, k=rng.randrange(1, 4))
    options = {"noises": "noise", "snrs": "5"} | {name: rng.choice(ODD) for name in names}
    said = problem(options)
    assert len(said.splitlines()) == (said != "")
    if said:
        assert said.startswith("--")
        return
    for name in ("nj", "num_ranks", "num_nodes", "top_n", "lda_dim"):
        assert options.get(name, "1") in ("", "1", "5")
    assert options.get("max_bad", "0") in ("0", "1", "0.5", "1e-3", "-0")
    assert all(value.isprintable() for value in options.values())


@MANY
@given(SEEDS)
def test_any_text_is_a_number_in_range_or_refused(seed):
    rng = random.Random(seed)
    text = "".join(rng.choices(PIECES, k=rng.randrange(6)))
    for read, kind in [rng.choice(READERS)]:
        with contextlib.suppress(NumberError):
            number = read(text)
            assert number == kind(text) and re.fullmatch(r"[-+.0-9eE]+", text, re.ASCII)
            assert number >= -5 and (kind is float or number <= 500)


@pytest.mark.parametrize(("command", "option", "value"), [
    (["-m", "sv", "metrics"], "--seed", "1_0"),
    (["local/make_noisy_test.py"], "--nj", "0"),
    (["local/split_validation.py"], "--fraction", "nan"),
    (["local/make_enrolment.py"], "--num-enrol", "-1"),
])  # fmt: skip
def test_commands_take_the_same_numbers(command, option, value):
    done = subprocess.run(
        [sys.executable, *command, option, value, "a", "b", "c"], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2
    assert f"argument {option}: takes a" in done.stderr


def test_a_condition_that_appears_twice_is_named():
    said = problem({"noises": "noise", "snrs": "5,5.0"})
    assert said == "--noises noise --snrs 5,5.0 a condition appears twice"


def test_a_runtime_is_asked_for_before_anything_runs(monkeypatch):
    assert problem({"runtime": ""}) == problem({"runtime": "torch", "precision": "bf16"}) == ""
    assert problem({"runtime": "tensorrt"}).startswith(
        "--runtime takes torch, onnxruntime, openvino or mnn, got 'tensorrt'"
    )
    monkeypatch.setattr("sv.base.packages.find_spec", lambda name: None if name == "openvino" else name)
    assert problem({"runtime": "openvino"}) == (
        "--runtime openvino needs openvino: pip install 'noise-robust-sv[openvino]'"
    )
    said = problem({"runtime": "onnxruntime", "precision": "bf16"})
    assert said == "--runtime onnxruntime computes in float32 only; for bf16 choose openvino or torch"
