"""Files that `sv embed` writes, and what it says meanwhile."""

import csv
import os
import pty
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from sv.bin import embed
from sv.embed.outputs import open_embeddings
from sv.kaldi import read_vectors

ROOT = Path(__file__).parents[3]
VECTORS = {"a": np.array([0.1, -1e-7, 3]), "b,c": np.array([1 / 3, 16_777_215, 0])}


def written(out: Path) -> Path:
    with open_embeddings(out) as write:
        for key, vector in VECTORS.items():
            write(key, vector.astype(np.float32))
    return out


def test_npz_holds_ids_and_one_matrix(tmp_path) -> None:
    with np.load(written(tmp_path / "new" / "out.npz")) as found:
        assert sorted(found) == ["embeddings", "ids"]
        assert found["ids"].tolist() == ["a", "b,c"]
        assert found["embeddings"].dtype == np.float32
        np.testing.assert_array_equal(found["embeddings"], np.array(list(VECTORS.values()), np.float32))
    assert written(tmp_path / "again.npz").read_bytes() == (tmp_path / "new" / "out.npz").read_bytes()


def test_csv_reads_back_to_the_bit(tmp_path) -> None:
    lines = written(tmp_path / "out.csv").read_text().splitlines()
    assert lines == ["id,1,2,3", "a,0.1,-1e-07,3.0", '"b,c",0.33333334,1.6777215e+07,0.0']
    with (tmp_path / "out.csv").open() as file:
        rows = {row["id"]: [row[number] for number in "123"] for row in csv.DictReader(file)}
    for key, vector in VECTORS.items():
        np.testing.assert_array_equal(np.array(rows[key], np.float32), vector.astype(np.float32))


@pytest.mark.parametrize("name", ["out.ark", "out.npz", "out.csv"])
def test_a_block_that_fails_leaves_what_was_there(tmp_path, name) -> None:
    (tmp_path / name).write_text("old")
    with pytest.raises(ValueError, match="reason"), open_embeddings(tmp_path / name) as write:
        write("a", np.ones(2, np.float32))
        raise ValueError("reason")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "old"}


def test_every_output_holds_the_same_embeddings(voices, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text(f"{voices}/c.wav\n")
    for name in ("out.ark", "out.npz", "sub/out.csv"):
        embed.main(["--model", str(voices / "model"), f"{voices}/[ab].wav", "list.txt", name])
        assert capsys.readouterr().out == f"3 recordings, 12 dimensions, {name}\n"
    vectors = read_vectors(tmp_path / "out.scp")
    assert list(vectors) == ["a", "b", "c"]
    with np.load("out.npz") as found:
        assert found["ids"].tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(found["embeddings"], np.stack(list(vectors.values())))
    rows = np.loadtxt("sub/out.csv", delimiter=",", skiprows=1, usecols=range(1, 13), dtype=np.float32)
    np.testing.assert_array_equal(rows, np.stack(list(vectors.values())))
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "list.txt", "out.ark", "out.csv", "out.npz", "out.scp", "sub",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["out.ark", "out.npz", "out.csv"])
def test_what_cannot_be_used_is_left_out_of_every_output_or_nothing_is_written(voices, tmp_path, capsys, name) -> None:
    (tmp_path / "silent.wav").write_bytes((voices / "a.wav").read_bytes()[:44] + bytes(18_000))
    (tmp_path / "list.txt").write_text(f"{tmp_path}/silent.wav\n{tmp_path}/gone.wav\n{voices}/b.wav\n")
    given = ["--model", str(voices / "model"), str(tmp_path / "list.txt"), str(tmp_path / name)]
    with pytest.raises(SystemExit) as exit_:
        embed.main(given)
    assert str(exit_.value.code).startswith(f"error: {tmp_path}/list.txt:2: no file '{tmp_path}/gone.wav'; ")
    assert not list(tmp_path.glob("out*"))
    embed.main(["--skip-bad", *given])
    said = capsys.readouterr()
    assert said.out == f"1 recording, 12 dimensions, {tmp_path / name}\n"
    assert said.err.splitlines() == [
        f"cannot use {tmp_path}/gone.wav: No such file or directory",
        f"cannot use {tmp_path}/silent.wav: silent: every sample is zero",
    ]


def run_on_terminal(words: list[str]) -> tuple[str, str]:
    """Output of a command on stdout, a pipe, and on stderr, a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "sv", *words], stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment
    )
    os.close(theirs)
    said = b""
    with suppress(OSError):  # the terminal's end, on Linux
        while part := os.read(ours, 1 << 16):
            said += part
    os.close(ours)
    return process.communicate(timeout=60)[0], said.decode()


def test_a_terminal_shows_progress_and_keeps_none_of_it(voices, tmp_path) -> None:
    out, said = run_on_terminal(["embed", "--model", str(voices / "model"), str(voices), str(tmp_path / "out.ark")])
    assert out == f"3 recordings, 12 dimensions, {tmp_path}/out.ark\n"
    assert "0/3" in said
    assert said.rpartition("\r")[0].endswith(" ")  # the bar was wiped out


def test_off_a_terminal_there_is_none(voices, tmp_path, capsys) -> None:
    embed.main(["--model", str(voices / "model"), str(voices), str(tmp_path / "out.ark")])
    assert capsys.readouterr().err == ""
