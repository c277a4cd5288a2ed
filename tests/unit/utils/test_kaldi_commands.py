"""copy-feats, copy-vector, feat-to-dim and feat-to-len, as Kaldi's users call them."""

import os
import subprocess
import sys
from pathlib import Path

import kaldi_native_io as kaldi
import numpy as np
import pytest

from sv.kaldi import open_ark_scp, read_scp

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def shell(tmp_path):
    """shell(line) -> finished bash, in a folder with x.ark and x.scp of features, v.ark and v.scp of vectors."""
    with open_ark_scp(tmp_path / "x.ark", tmp_path / "x.scp") as write:
        write("a", np.array([[1.0, 2.5], [3.0, 1e-5]]))
        write("b", np.array([[0.1, np.pi]]))
    with open_ark_scp(tmp_path / "v.ark", tmp_path / "v.scp") as write:
        write("a", np.array([1.0, 2, 3]))
        write("b", np.array([4.0, 5, 6]))

    def call(line):
        env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:{ROOT}/utils"
        }  # as path.sh has it
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line}"],
            capture_output=True,
            text=True,
            errors="replace",
            cwd=tmp_path,
            env=env,
        )

    call.dir = tmp_path
    return call


TEXT = "a  [\n  1.0 2.5 \n  3.0 1e-05 ]\nb  [\n  0.1 3.1415927 ]\n"


@pytest.mark.parametrize("source", ["scp:x.scp", "ark:x.ark", "ark,s,cs:x.ark", "scp,p:x.scp", "ark:x.ark.gz", "ark:-"])
def test_features_as_text_from_anywhere(shell, source):
    done = shell(f"gzip -k x.ark; copy-feats {source} ark,t:- < x.ark")
    assert (done.stdout, done.stderr) == (TEXT, "copy-feats: copied 2 feature matrices.\n")


def test_copies_are_what_kaldi_writes(shell):
    done = shell(
        "copy-feats scp:x.scp ark,t:t.ark && copy-feats ark:t.ark ark,scp:y.ark,y.scp && copy-feats ark:t.ark ark:y.gz"
        " && gunzip -c y.gz | cmp - x.ark && cmp x.ark y.ark && copy-feats --write-num-frames=ark,t:- scp:y.scp ark:/dev/null"
    )
    assert (done.returncode, done.stdout) == (0, "a 2\nb 1\n"), done.stderr
    assert read_scp(shell.dir / "y.scp")["b"] == "y.ark:35"


@pytest.mark.parametrize(("method", "kind"), [(2, b"CM "), (3, b"CM2 "), (5, b"CM3 ")])
def test_compressed_copies(shell, method, kind):
    assert (
        shell(f"copy-feats --compress=true --compression-method={method} scp:x.scp ark,scp:c.ark,c.scp").returncode == 0
    )
    assert (shell.dir / "c.ark").read_bytes()[4:].startswith(kind)
    os.chdir(shell.dir)
    with kaldi.SequentialFloatMatrixReader("scp:c.scp") as records:
        found = {key: np.array(value) for key, value in records}
    np.testing.assert_allclose(found["b"], [[0.1, np.pi]], atol=0.02)


def test_lengths_and_dimensions(shell):
    assert shell("feat-to-dim scp:x.scp -").stdout == "2\n"
    assert shell("feat-to-dim ark:x.ark ark,t:-").stdout == "a 2\nb 2\n"
    assert shell("feat-to-len scp:x.scp").stdout == "3\n"
    assert shell("feat-to-len scp:x.scp ark,t:-").stdout == "a 2\nb 1\n"
    assert shell("sed 's/$/[0:0]/' x.scp > r.scp; feat-to-len scp:r.scp").stdout == "2\n"


def test_vectors(shell):
    assert shell("copy-vector --scale=2 --change-dim=2 scp:v.scp ark,t:-").stdout == "a  [ 2.0 4.0 ]\nb  [ 8.0 10.0 ]\n"
    assert (
        shell("copy-vector --change-dim=4 'scp:head -n 1 v.scp |' ark,t:- --allow-pipes").stdout
        == "a  [ 1.0 2.0 3.0 0.0 ]\n"
    )
    assert shell("tail -c +3 v.ark | head -c 22 > one; copy-vector --binary=false one -").stdout == " [ 1.0 2.0 3.0 ]\n"


def test_doubles_stay_doubles(shell):
    value = 1 / 3
    with kaldi.DoubleVectorWriter(f"ark:{shell.dir}/d.ark") as writer:
        writer.write("a", np.array([value]))
    assert shell("copy-vector ark:d.ark ark,t:-").stdout == f"a  [ {value!r} ]\n"
    assert shell("copy-vector ark:d.ark ark:- | cmp - d.ark").returncode == 0


def test_pipes_run_only_if_allowed(shell):
    for line in ("copy-feats 'ark:touch ran; cat x.ark |' ark:-", "copy-feats ark:x.ark 'ark:| touch ran'"):
        done = shell(line)
        assert (done.returncode, "--allow-pipes allows it" in done.stderr) == (1, True)
    (shell.dir / "p.scp").write_text("a touch ran; cat x.ark |\n")
    assert shell("copy-feats scp:p.scp ark:-").returncode == 1
    assert not (shell.dir / "ran").exists()
    assert shell("copy-feats --allow-pipes 'ark:cat x.ark |' 'ark:| cat > y.ark' && cmp x.ark y.ark").returncode == 0
    (shell.dir / "p.scp").write_text("a tail -c +3 x.ark |\n")
    assert shell("feat-to-len --allow-pipes scp:p.scp ark,t:-").stdout == "a 2\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("copy-feats --allow-pipes 'ark:cat x.ark; exit 3 |' ark:-", "failed with code 3"),
        ("copy-feats --allow-pipes 'ark:gunzip -c none.gz |' ark:-", "failed with code 1"),
        ("copy-feats ark:none.ark ark:-", "No such file or directory: 'none.ark'"),
        ("copy-feats ark:v.ark ark:-", "ark:v.ark: a: a vector of 3, not a matrix; use copy-vector"),
        ("copy-vector ark:x.ark ark:-", "ark:x.ark: a: a matrix of 2 rows, not a vector; use copy-feats"),
        ("copy-feats ark,q:x.ark ark:-", "unknown option 'q'"),
        ("copy-feats ark: ark:-", "expected ark:FILE, scp:FILE"),
        ("copy-feats ark,scp:x.ark,x.scp ark:-", "expected ark:FILE or scp:FILE to read"),
        ("copy-feats ark:x.ark scp:y.scp", "expected ark:FILE or ark,scp:FILE,FILE to write"),
        ("copy-feats ark:x.ark ark,scp:-,y.scp", "an scp needs an ark that is a plain file"),
        ("tac x.scp > r.scp; copy-feats scp,s:r.scp ark:-", "key 'a' after 'b', but 's' says that keys are sorted"),
        ("head -c -3 x.ark | copy-feats ark:- ark:-", "-: b: the record needs 8 bytes, the file ends before"),
        ("gzip x.ark; head -c -9 x.ark.gz > y.gz; copy-feats ark:y.gz ark:-", "y.gz: cut off or damaged: "),
        ("head -c -3 x.scp | copy-feats scp:- ark:-", "-:2: the last line has no line end"),
        ("echo 'c x.ark:9999' >> x.scp; copy-feats scp:x.scp ark:-", "x.scp:3: c: "),
        ("echo 'c none' >> x.scp; feat-to-len scp:x.scp", "x.scp:3: c: "),
        ("feat-to-dim ark:/dev/null -", "there are no features"),
    ],
)
def test_what_is_wrong_is_one_line(shell, line, message):
    done = shell(line)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_permissive_reading_leaves_out_and_says_so(shell):
    done = shell("sed -i 's/^a .*/a none/' x.scp; copy-feats scp,p:x.scp ark,t:-")
    assert (done.returncode, done.stdout) == (0, TEXT[TEXT.index("b") :])
    assert "x.scp:1: a: [Errno 2] No such file or directory: 'none'; left out" in done.stderr
    done = shell("head -c -3 x.ark | copy-feats ark,p:- ark,t:-")
    assert done.stdout == TEXT[: TEXT.index("b")]
    assert shell("copy-feats ark:/dev/null ark:-").returncode == 1


def test_into_head_is_quiet_and_wrong_options_exit_with_2(shell):
    done = shell("for i in $(seq 300); do cat x.ark; done > m.ark; copy-feats ark:m.ark ark,t:- | head -n 1")
    assert done.stdout == "a  [\n"
    assert "Traceback" not in done.stderr
    assert shell("copy-feats --compres=true ark:x.ark ark:-").returncode == 2
    assert shell("copy-feats --binary=maybe ark:x.ark ark:-").returncode == 2


def test_one_line_of_text_is_what_the_command_is_for(shell):
    (shell.dir / "one.txt").write_text("u  [ 1 2 3 ]\nw  [ ]\n")
    assert shell("copy-feats ark:one.txt ark,t:-").stdout == "u  [\n  1.0 2.0 3.0 ]\nw  [ ]\n"
    assert shell("copy-feats --compress=true ark:one.txt ark:- | feat-to-len ark:- ark,t:-").stdout == "u 1\nw 0\n"
    assert shell("copy-vector ark:one.txt ark,t:-").stdout == "u  [ 1.0 2.0 3.0 ]\nw  [  ]\n"
    assert shell("feat-to-len ark:one.txt ark,t:-").stdout == "u 1\nw 0\n"
    (shell.dir / "one.scp").write_text("u one.txt:2\n")
    assert shell("copy-feats scp:one.scp ark,t:-; feat-to-dim scp:one.scp -").stdout == "u  [\n  1.0 2.0 3.0 ]\n3\n"
    assert "v.ark: a: a vector of 3, not a matrix; use copy-vector" in shell("copy-feats ark:v.ark ark:-").stderr


def test_a_full_disk_and_a_bad_record_leave_the_old_output_whole(shell):
    done = shell("copy-feats scp:x.scp ark:/dev/full")
    assert (done.returncode, done.stderr) == (
        1,
        "copy-feats: [Errno 28] could not write: No space left on device: '/dev/full'\n",
    )
    done = shell("copy-feats --write-num-frames=ark,t:frames scp:x.scp ark,scp:/dev/full,new.scp")
    assert "No space left on device: '/dev/full'" in done.stderr and not (shell.dir / "frames").exists()
    (shell.dir / "old.ark").write_text("old")
    (shell.dir / "link.ark").symlink_to("old.ark")
    (shell.dir / "bad.txt").write_text("a [ 1 2 ]\nb [ 1 two ]\n")
    for target in ("ark:old.ark", "ark:link.ark", "ark,scp:link.ark,old.scp", "ark,t:old.ark"):
        done = shell(f"copy-feats ark:bad.txt {target}")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert (shell.dir / "old.ark").read_text() == "old"
        assert not list(shell.dir.glob("*.tmp")) and not (shell.dir / "old.scp").exists()
    assert shell("copy-feats ark:x.ark ark:link.ark && cmp x.ark old.ark && test -L link.ark").returncode == 0
    assert shell("copy-feats ark:x.ark ark:x.ark && cmp x.ark old.ark").returncode == 0  # onto itself
    assert "No such file or directory: 'none/x.ark'" in shell("copy-feats ark:x.ark ark:none/x.ark").stderr
    assert shell("copy-feats ark:x.ark 'ark:it'\"'\"'s \"ü\".ark' && cmp x.ark 'it'\"'\"'s \"ü\".ark'").returncode == 0
