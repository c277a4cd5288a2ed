"""The small inspection tools, as users call them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sv.kaldi import open_ark_scp, write_data_dir

ROOT = Path(__file__).resolve().parents[3]


def run(script, *arguments):
    command = [sys.executable, ROOT / "utils" / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


@pytest.fixture
def table(tmp_path):
    with open_ark_scp(tmp_path / "x.ark", tmp_path / "x.scp") as write:
        write("a", np.array([[1.0, 2.0], [3.0, 6.0]]))
        write("b", np.array([[5.0, 5.0]]))
    return tmp_path / "x.scp"


def test_show_ark_prints_a_line_a_record(table):
    expected = ["a 2x2 mean 3 std 1.8708 nan 0 [ 1 2 3 6 ...]", "b 1x2 mean 5 std 0 nan 0 [ 5 5 ...]"]
    assert run("show_ark.py", table).stdout.splitlines() == expected
    assert run("show_ark.py", table.with_suffix(".ark")).stdout.splitlines() == expected


def test_show_ark_verifies_each_entry(table):
    assert run("show_ark.py", "--verify", table).returncode == 0
    ark = table.with_suffix(".ark")
    ark.write_bytes(ark.read_bytes()[:-1])
    done = run("show_ark.py", "--verify", table)
    assert done.returncode == 1
    assert "x.scp: b: " in done.stderr
    assert "1 broken entries" in done.stderr


def test_show_ark_into_head_is_quiet(tmp_path):
    with open_ark_scp(tmp_path / "x.ark", tmp_path / "x.scp") as write:
        for i in range(3000):
            write(f"utt-{i:05d}", np.ones(4))
    command = f"set -o pipefail; {sys.executable} {ROOT}/utils/show_ark.py {tmp_path}/x.scp | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert (done.stderr, done.stdout.split()[0], done.returncode) == ("", "utt-00000", 0)


def test_show_ark_of_nothing_is_one_line(tmp_path):
    done = run("show_ark.py", tmp_path / "none.scp")
    assert (done.returncode, "Traceback" in done.stderr, "none.scp" in done.stderr) == (1, False, True)


def test_validate_data_dir_exits_1_and_names_each_problem(tmp_path):
    (tmp_path / "x.wav").touch()
    for name in ("good", "bad"):
        write_data_dir(
            tmp_path / name, wav_scp={"s-a": str(tmp_path / "x.wav")}, utt2spk={"s-a": "s"}, utt2dur={"s-a": 1.0}
        )
    (tmp_path / "bad/utt2dur").write_text("s-b 1\n")
    assert run("validate_data_dir.py", tmp_path / "good").returncode == 0
    done = run("validate_data_dir.py", tmp_path / "good", tmp_path / "bad")
    assert done.returncode == 1
    assert "bad/utt2dur: 1 utterances are not in utt2spk, e.g. 's-b'" in done.stderr
    assert "2 problem(s)" in done.stderr


def test_feature_sets_are_named_by_what_the_system_reads(tmp_path):
    one = '[features]\ntype = "log_mel"\n[model]\ntype = "exu_net"\n'
    for name, text in (
        ("a", one),
        ("b", one.replace("exu_net", "unet")),
        ("c", one.replace('"log_mel"', '"log_mel"\nn_fft = 512')),
    ):
        (tmp_path / f"{name}.toml").write_text(text)
    names = [run("feature_set.py", tmp_path / f"{name}.toml").stdout.strip() for name in "abc"]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("log_mel-")
    (tmp_path / "w.toml").write_text('[features]\ntype = "waveform"\n')
    (tmp_path / "e.toml").write_text('[features]\ntype = "embedding"\n')
    assert run("feature_set.py", tmp_path / "e.toml").stdout == "embeddings\n"
    assert run("feature_set.py", tmp_path / "w.toml").stdout == "none\n"
    (tmp_path / "bad.toml").write_text("[features\n")
    done = run("feature_set.py", tmp_path / "bad.toml")
    assert (done.returncode, "bad.toml: " in done.stderr) == (1, True)
