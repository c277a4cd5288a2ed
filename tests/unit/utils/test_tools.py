"""The small inspection tools, as users call them."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from sv.data.augment import AugmentConfig
from sv.kaldi import open_ark_scp, read_vectors, write_data_dir
from sv.models import MODELS

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


def test_system_info_tells_what_a_system_reads(tmp_path):
    for kind in ("waveform", "embedding", "log_mel"):
        (tmp_path / f"{kind}.toml").write_text(f'[features]\ntype = "{kind}"\n')
    asked = {
        kind: run("system_info.py", tmp_path / f"{kind}.toml", "features", "reads").stdout
        for kind in ("waveform", "embedding", "log_mel")
    }
    assert asked["waveform"] == "\nwaveforms\n" and asked["embedding"] == "\nembeddings\n"
    assert asked["log_mel"].startswith("log_mel-") and asked["log_mel"].endswith("\nfeatures\n")


@pytest.mark.parametrize(
    "line", ["noisy_copies = 2", "  noisy_copies = 2", '"noisy_copies" = 2', "noisy_copies=2 # of each"]
)
def test_system_info_reads_keys_however_toml_spells_them(tmp_path, line):
    (tmp_path / "a.toml").write_text(f'[loss]\ntype = "enhancement"\n{line}\n')
    assert run("system_info.py", tmp_path / "a.toml", "loss.noisy_copies=0").stdout == "2\n"


@pytest.mark.parametrize("model_type", sorted(MODELS))
def test_system_info_knows_the_models_that_sample(tmp_path, model_type):
    config = MODELS[model_type][0]
    samples = "sampling" in {field.name for field in fields(config)}
    (tmp_path / "a.toml").write_text(f'[model]\ntype = "{model_type}"\n')
    (tmp_path / "still.toml").write_text(f'[model]\ntype = "{model_type}"\n[model.sampling]\nstart = "zero"\n')
    assert run("system_info.py", tmp_path / "a.toml", "samples").stdout == f"{samples}\n".lower()
    assert run("system_info.py", tmp_path / "still.toml", "samples").stdout == "false\n"


def test_system_info_prints_the_default_for_a_key_that_is_not_set_and_names_a_bad_file(tmp_path):
    (tmp_path / "a.toml").write_text("[loss]\nx = true\n")
    assert run("system_info.py", tmp_path / "a.toml", "loss.noisy_copies=0").stdout == "0\n"
    assert run("system_info.py", tmp_path / "a.toml", "loss.x").stdout == "true\n"
    (tmp_path / "bad.toml").write_text("[features\n")
    for name, said in (("bad.toml", "bad.toml: "), ("none.toml", "none.toml: No such file")):
        done = run("system_info.py", tmp_path / name, "reads")
        assert (done.returncode, said in done.stderr, len(done.stderr.splitlines())) == (1, True, 1)


@pytest.fixture
def ten(tmp_path):
    """An ark of ten vectors, whose scp lies beside it."""
    with open_ark_scp(tmp_path / "x.ark", tmp_path / "x.scp") as write:
        for i in range(10):
            write(f"utt-{i}", np.full(5, 8.5 + i))  # the last byte of 8.5 is an A: keys do not stand out
    return tmp_path / "x.ark"


def damaged(ark, at, num_bytes=6):
    data = bytearray(ark.read_bytes())
    data[at : at + num_bytes] = b"\xff" * num_bytes
    ark.write_bytes(data)


def test_verify_finds_damage_in_arks_and_an_scp_of_another_ark(ten):
    assert run("show_ark.py", "--verify", ten).returncode == 0
    scp = ten.with_suffix(".scp")
    lines = scp.read_text().splitlines()
    scp.write_text("\n".join([*lines[:2], lines[2].replace("utt-2", "utt-x"), *lines[3:], ""]))
    done = run("show_ark.py", "--verify", scp)
    assert (done.returncode, "utt-x: " in done.stderr, "1 broken entries" in done.stderr) == (1, True, True)
    assert "the ark has another key there" in done.stderr
    damaged(ten, 36 * 3 + 6)
    assert run("show_ark.py", "--verify", ten).returncode == 1


@pytest.mark.parametrize("with_scp", [True, False])
@pytest.mark.parametrize(("at", "lost"), [(36 * 3 + 6, {3}), (36 * 3 + 12, {3}), (36 * 9 + 30, {9})])
def test_repair_keeps_every_whole_record_whose_key_is_certain(ten, tmp_path, with_scp, at, lost):
    damaged(ten, at)
    if at == 36 * 9 + 30:
        ten.write_bytes(ten.read_bytes()[: at + 3])
    if not with_scp:
        ten.with_suffix(".scp").unlink()
        lost = lost | ({4} if lost == {3} else set())
    done = run("show_ark.py", "--repair", tmp_path / "mended", ten)
    assert done.returncode == 0, done.stderr
    found = read_vectors(tmp_path / "mended.scp")
    assert {int(key[-1]) for key in found} == set(range(10)) - lost
    assert all(np.all(vector == 8.5 + int(key[-1])) for key, vector in found.items())
    assert f"{len(found)} records kept" in done.stderr
    assert run("show_ark.py", "--verify", tmp_path / "mended.scp").returncode == 0


def test_diff_names_keys_that_differ(ten, tmp_path):
    with open_ark_scp(tmp_path / "y.ark", tmp_path / "y.scp") as write:
        for i in range(1, 10):
            write(f"utt-{i}", np.full(4 if i == 5 else 5, 8.5 + i + (i == 7) * 0.25))
    assert run("show_ark.py", "--diff", ten, ten.with_suffix(".scp")).returncode == 0
    done = run("show_ark.py", "--diff", tmp_path / "y.ark", ten)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"utt-0 only in {ten}",
        "utt-5 5 against 4",
        "utt-7 largest difference 0.25",
        "3 keys differ",
    ]


@pytest.fixture
def kaldis(tmp_path):
    """A Kaldi data directory with segments, text and features, as other toolkits write them."""
    path = tmp_path / "kaldis"
    path.mkdir()
    (path / "wav.scp").write_text("rec1 a.wav\nrec2 b.wav\n")
    (path / "segments").write_text("s1-a rec1 0.0 1.0\ns1-b rec1 1.0 2.0\ns2-c rec2 0.0 3.0\n")
    (path / "utt2spk").write_text("s1-a s1\ns1-b s1\ns2-c s2\n")
    (path / "spk2utt").write_text("s1 s1-a s1-b\ns2 s2-c\n")
    (path / "spk2gender").write_text("s1 f\ns2 m\n")
    (path / "text").write_text("s1-a one two\ns1-b three\ns2-c four\n")
    (path / "feats.scp").write_text("s1-a x.ark:5\ns1-b x.ark:50\ns2-c x.ark:90\n")
    return path


def tables(path):
    return {file.name: file.read_text() for file in path.iterdir() if file.is_file()}


def test_fixing_a_sound_directory_changes_nothing(kaldis):
    before = tables(kaldis)
    done = run("fix_data_dir.py", kaldis)
    assert (done.returncode, done.stderr, tables(kaldis)) == (0, "", before)
    assert tables(kaldis / ".backup") == before


def test_fixing_sorts_and_keeps_what_stands_everywhere(kaldis):
    (kaldis / "feats.scp").write_text("s2-c x.ark:90\ns1-a x.ark:5\n")
    done = run("fix_data_dir.py", kaldis)
    assert done.returncode == 0
    assert "kaldis/utt2spk: dropped 1 of 3, e.g. ['s1-b']" in done.stderr
    assert "kaldis/feats.scp: sorted" in done.stderr
    assert (kaldis / "feats.scp").read_text() == "s1-a x.ark:5\ns2-c x.ark:90\n"
    assert (kaldis / "text").read_text() == "s1-a one two\ns2-c four\n"
    assert (kaldis / "spk2utt").read_text() == "s1 s1-a\ns2 s2-c\n"
    (kaldis / "wav.scp").write_text("rec1 a.wav\n")
    assert "kaldis/segments: dropped 1 of 2, e.g. ['s2-c']" in run("fix_data_dir.py", kaldis).stderr
    assert (kaldis / "spk2gender").read_text() == "s1 f\n"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("utt2spk", "s1-a s1\ns1-a s1\n", "utt2spk:2: key 's1-a' appears twice"),
        ("utt2spk", "s1-a\n", "utt2spk:1: expected '<key> <value>'"),
        ("text", "other x\n", "no utterance stands in all of"),
    ],
)
def test_what_cannot_be_fixed_is_named_and_left_alone(kaldis, file, text, message):
    (kaldis / file).write_text(text)
    before = tables(kaldis)
    done = run("fix_data_dir.py", kaldis)
    assert (done.returncode, message in done.stderr, tables(kaldis)) == (1, True, before)


def test_split_and_combine_are_inverse(kaldis, tmp_path):
    assert run("split_data.py", kaldis, "2").returncode == 0
    parts = [kaldis / "split2" / part for part in "12"]
    assert (parts[0] / "utt2spk").read_text() == "s1-a s1\n"
    assert (parts[0] / "wav.scp").read_text() == "rec1 a.wav\n"
    assert run("combine_data.py", tmp_path / "both", *parts).returncode == 0
    assert tables(tmp_path / "both") == tables(kaldis)
    done = run("split_data.py", kaldis, "4")
    assert (done.returncode, "3 utterances cannot be split into 4 parts" in done.stderr) == (1, True)


def test_combine_leaves_out_what_not_all_have_and_refuses_contradictions(kaldis, tmp_path):
    assert run("subset_data_dir.py", "--first", "1", kaldis, tmp_path / "one").returncode == 0
    (tmp_path / "one/text").unlink()
    done = run("combine_data.py", tmp_path / "both", kaldis, tmp_path / "one")
    assert (done.returncode, done.stderr) == (0, "text: not in all of them, left out\n")
    (tmp_path / "one/utt2spk").write_text("s1-a s9\n")
    done = run("combine_data.py", tmp_path / "both", kaldis, tmp_path / "one")
    assert (done.returncode, "one/utt2spk: 's1-a' is 's9' here, and 's1' in another directory" in done.stderr) == (
        1,
        True,
    )


def test_subsets(kaldis, tmp_path):
    def utts(*options):
        done = run("subset_data_dir.py", *options, kaldis, tmp_path / "out")
        return (
            [line.split()[0] for line in (tmp_path / "out/utt2spk").read_text().splitlines()]
            if done.returncode == 0
            else done.stderr
        )

    assert utts("--first", "2") == ["s1-a", "s1-b"]
    (tmp_path / "list").write_text("s2-c further words\n")
    assert utts("--utt-list", tmp_path / "list") == ["s2-c"]
    assert (tmp_path / "out/wav.scp").read_text() == "rec2 b.wav\n"
    (tmp_path / "list").write_text("s1\n")
    assert utts("--spk-list", tmp_path / "list") == ["s1-a", "s1-b"]
    drawn = {tuple(utts("--num-utts", "2", "--seed", str(seed))) for seed in (0, 0, 1, 2, 3, 4)}
    assert 1 < len(drawn) <= 3
    assert "4 utterances wanted, there are 3" in utts("--first", "4")
    assert "1 are not in" in utts("--utt-list", tmp_path / "list")


def test_logs_of_an_array_in_one_screen(tmp_path):
    words = ["JOB=1:30", "log/x.JOB.log", "sh", "-c", "seq 50; echo cannot read file JOB; test JOB -gt 20"]
    subprocess.run([sys.executable, ROOT / "utils/run.py", *words], cwd=tmp_path, capture_output=True)
    (tmp_path / "log/x.25.log").write_text("# true\n# Started at noon\nhalf-w")
    (tmp_path / "log/x.26.log").unlink()
    for place in ("log", "q/x.JOB"):
        done = run("summarize_logs.py", tmp_path / place)
        assert done.returncode == 1
        assert "20 code 1" in done.stdout
        assert "1 no end" in done.stdout
        assert len(done.stdout.splitlines()) < 25
        assert "  cannot read file 1\n" in done.stdout
        assert "half-w" in done.stdout
    assert "1 did not start" in run("summarize_logs.py", tmp_path / "q/x.JOB").stdout
    (tmp_path / "kaldi.log").write_text(
        "# Started at noon\nx\n# Accounting: time=0 threads=1\n# Finished at noon with status 0\n"
    )
    assert run("summarize_logs.py", tmp_path / "kaldi.log").returncode == 0


def test_the_noise_a_system_trains_with(tmp_path):
    def noises(text):
        (tmp_path / "a.toml").write_text(text)
        return run("system_info.py", tmp_path / "a.toml", "noises").stdout

    assert noises("") == ",".join(AugmentConfig().noises) + "\n"
    assert noises('[augment]\nnoises = ["street", "babble+music", "music"]\n') == "street,babble,music\n"
    assert noises('[augment]\nnoises = ["crowd", "noise+crowd"]\n') == "noise\n"  # the training set is its folder
    assert noises("[augment]\nnoise_prob = 0.0\n") == "\n"
