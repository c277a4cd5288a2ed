import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[3] / "utils" / "run.py"


def run(*words, cwd):
    return subprocess.run([sys.executable, RUN, *map(str, words)], capture_output=True, text=True, cwd=cwd)


def test_one_job_and_kaldis_log(tmp_path):
    assert run("log/x.log", "echo", "it's  two words", "$HOME", cwd=tmp_path).returncode == 0
    lines = (tmp_path / "log/x.log").read_text().splitlines()
    assert lines[0] == """# echo 'it'"'"'s  two words' '$HOME'"""
    assert lines[1].startswith("# Running on ")
    assert lines[2].startswith("# Started at ")
    assert lines[4] == "it's  two words $HOME"
    assert lines[5].startswith("# Accounting: time=")
    assert lines[6].startswith("# Ended (code 0) at ")


def test_an_array_numbers_logs_and_arguments(tmp_path):
    assert run("JOB=2:4", "x.JOB.log", "sh", "-c", "echo job-JOB-of-JOB", cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.2.log", "x.3.log", "x.4.log"]
    assert "job-3-of-3\n" in (tmp_path / "x.3.log").read_text()


def test_a_failing_job_fails_the_array_and_shows_its_last_lines(tmp_path):
    done = run("JOB=1:3", "x.JOB.log", "sh", "-c", "echo reason JOB; test JOB -ne 2", cwd=tmp_path)
    assert done.returncode == 1
    assert "x.2.log failed (code 1); its last lines:" in done.stderr
    assert "reason 2" in done.stderr
    assert "reason 1" not in done.stderr
    assert "1 of 3 jobs failed" in done.stderr


def test_a_command_that_is_not_there_fails(tmp_path):
    done = run("x.log", "no-such-command", cwd=tmp_path)
    assert (done.returncode, "no-such-command: No such file" in (tmp_path / "x.log").read_text()) == (1, True)


def test_at_most_so_many_at_once(tmp_path):
    script = "ls started | wc -l > most.JOB; touch started/JOB; sleep 0.3; rm started/JOB"
    (tmp_path / "started").mkdir()
    assert run("--max-jobs-run", "1", "JOB=1:3", "x.JOB.log", "sh", "-c", script, cwd=tmp_path).returncode == 0
    assert [int((tmp_path / f"most.{job}").read_text()) for job in (1, 2, 3)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x.log"], "a log file and a command are needed"),
        (["JOB=1:2", "x.log", "true"], "the log's name must hold JOB"),
        (["JOB=3:2", "x.JOB.log", "true"], "the last job comes before the first"),
        (["--mme", "4G", "x.log", "true"], "unknown option --mme"),
    ],
)
def test_misuse_exits_with_2(tmp_path, words, message):
    done = run(*words, cwd=tmp_path)
    assert (done.returncode, message in done.stderr) == (2, True)


def test_options_for_queues_are_ignored(tmp_path):
    assert run("--mem", "4G", "--gpu", "1", "--time=4:00:00", "x.log", "true", cwd=tmp_path).returncode == 0


def test_an_interrupt_kills_the_jobs_and_their_children(tmp_path):
    script = "sh -c 'sleep 60; touch survived' & echo $! > child; wait"
    process = subprocess.Popen([sys.executable, RUN, "x.log", "sh", "-c", script], cwd=tmp_path, stderr=subprocess.PIPE)
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 1
    child = int((tmp_path / "child").read_text())
    time.sleep(0.1)
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
