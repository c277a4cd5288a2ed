import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[3] / "utils" / "run.py"


def run(*words, cwd, **env):
    command = [sys.executable, RUN, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=os.environ | env)


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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["q", "x.2.log", "x.3.log", "x.4.log"]
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
        (["JOB=0:2", "x.JOB.log", "true"], "tasks are numbered from 1"),
        (["--mme", "4G", "x.log", "true"], "unknown option --mme; known are --mem, --gpu, --num-threads"),
        (["--mem", "much", "x.log", "true"], "--mem: memory of a task, as in 4G, 4g or 4096M; got 'much'"),
        (["--mem"], "--mem needs a value"),
        (["", "true"], "the first word is the log's name, which must be a file's; got ''"),
        ([".", "true"], "got '.'"),
        (["log/", "true"], "got 'log/'"),
        (["JOB=1:99999999999", "x.JOB.log", "true"], "99999999999 tasks; at most 1000000"),
        (["JOB=1:" + "9" * 5000, "x.JOB.log", "true"], "expected JOB=FIRST:LAST or JOB=NUMBER, whole numbers"),
        (["JOB=a:b", "x.JOB.log", "true"], "expected JOB=FIRST:LAST"),
        (["JOB=１:３", "x.JOB.log", "true"], "expected JOB=FIRST:LAST"),
        (["JOB=-1:3", "x.JOB.log", "true"], "expected JOB=FIRST:LAST"),
        (["JOB=1:3\n", "x.JOB.log", "true"], "expected JOB=FIRST:LAST"),
        (["--num-tries", "0", "x.log", "true"], "--num-tries: attempts that a task has"),
        (["--num-threads", "two", "x.log", "true"], "--num-threads: cores of a task: a whole number from 1; got 'two'"),
        (["--max-jobs-run", "9" * 9, "x.log", "true"], "--max-jobs-run: tasks that may run at once"),
        (["--gpu", "٣", "x.log", "true"], "--gpu: GPUs of a task"),
        (["--time", "::", "x.log", "true"], "--time: time limit of a task"),
        (["-l", "x=y", "x.log", "true"], "unknown option -l; the scheduler's own options mean nothing here"),
        (["-tc"], "-tc needs a value"),
        (["--gpu", "1", "x.log", "true"], "--gpu 1: there are 0 GPUs here"),
    ],
)
def test_misuse_exits_with_2(tmp_path, words, message):
    done = run(*words, cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_options_for_queues_are_ignored(tmp_path):
    assert run("--mem", "4G", "--num-nodes", "2", "--time=4:00:00", "x.log", "true", cwd=tmp_path).returncode == 0


def test_an_interrupt_kills_the_jobs_and_their_children(tmp_path):
    script = "sh -c 'sleep 60; touch survived' & echo $! > child; wait"
    process = subprocess.Popen([sys.executable, RUN, "x.log", "sh", "-c", script], cwd=tmp_path, stderr=subprocess.PIPE)
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    child = int((tmp_path / "child").read_text())
    time.sleep(0.1)
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


AWKWARD = [
    "it's",
    'a "b"',
    "$HOME",
    "`id`",
    "two  spaces",
    "*",
    "a|b",
    "semi;colon",
    "back\\slash",
    "new\nline",
    "<unk>",
    "",
]


@pytest.mark.parametrize("operators", [[], ["|", "cat"]])
def test_arguments_arrive_as_they_were_typed(tmp_path, operators):
    script = "import json, sys; print(json.dumps(sys.argv[1:]))"
    assert run("x.log", sys.executable, "-c", script, *AWKWARD, *operators, cwd=tmp_path).returncode == 0
    printed = [line for line in (tmp_path / "x.log").read_text().splitlines() if line.startswith("[")]
    assert json.loads(printed[0]) == AWKWARD


def test_operators_standing_alone_act_as_in_kaldi(tmp_path):
    words = ["JOB=1:2", "x.JOB.log", "echo", "JOB it's", "|", "tr", "J1", "x9", ">", "out.JOB", "2>&1"]
    assert run(*words, cwd=tmp_path).returncode == 0
    assert (tmp_path / "out.1").read_text() == "9 it's\n"
    assert run("x.log", "false", "|", "cat", cwd=tmp_path).returncode == 1  # every part of a pipe counts


def test_only_failed_tasks_are_tried_again_and_attempts_are_kept(tmp_path):
    script = "echo attempt of JOB; echo x >> runs.JOB; test JOB -ne 2 || test $(wc -l < runs.JOB) -ge 3"
    done = run("--num-tries", "3", "JOB=1:3", "x.JOB.log", "sh", "-c", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [len((tmp_path / f"runs.{task}").read_text().split()) for task in (1, 2, 3)] == [1, 3, 1]
    assert "attempt 2 of 3: 1 of 3 jobs again (code 1)" in done.stderr
    assert sorted(path.name for path in tmp_path.glob("x.2.log*")) == ["x.2.log", "x.2.log.1", "x.2.log.2"]
    assert "# Ended (code 1)" in (tmp_path / "x.2.log.2").read_text()
    assert json.loads((tmp_path / "q/x.JOB/state.2.json").read_text())["attempt"] == 3


def test_pick_chooses_by_how_tasks_ended(tmp_path):
    words = ["JOB=1:3", "log/x.JOB.log", "sh", "-c", "echo x >> runs.JOB; test JOB -ne 2"]

    def count():
        return [len((tmp_path / f"runs.{task}").read_text().split()) for task in (1, 2, 3)]

    assert run(*words, cwd=tmp_path).returncode == 1
    assert run("--pick", "failed", *words, cwd=tmp_path).returncode == 1
    assert count() == [1, 2, 1]
    (tmp_path / "q/x.JOB/state.3.json").unlink()  # killed before it began
    assert run("--pick", "failed", *words, cwd=tmp_path).returncode == 1
    assert count() == [1, 3, 1]
    done = run("--pick", "incomplete", *words, cwd=tmp_path)
    assert "--pick incomplete: 2 of 3 tasks" in done.stderr
    assert count() == [1, 4, 2]
    other = [*words[:-1], words[-1] + "; true"]  # how another command ended says nothing about this one
    assert run("--pick", "incomplete", *other, cwd=tmp_path).returncode == 0
    assert count() == [2, 5, 3]
    assert run("--pick", "incomplete", *other, cwd=tmp_path).returncode == 0
    assert count() == [2, 5, 3]


def test_tasks_share_the_gpus(tmp_path):
    words = [
        "--gpu",
        "2",
        "JOB=1:6",
        "x.JOB.log",
        "sh",
        "-c",
        "mkdir in.$CUDA_VISIBLE_DEVICES && sleep 0.1; rmdir in.$CUDA_VISIBLE_DEVICES; echo $CUDA_VISIBLE_DEVICES > gpus.JOB",
    ]
    assert run(*words, cwd=tmp_path, CUDA_VISIBLE_DEVICES="3,4,5,6,7").returncode == 0
    assert {(tmp_path / f"gpus.{task}").read_text().strip() for task in range(1, 7)} == {"3,4", "5,6"}
    assert (
        run(
            "--gpu", "0", "x.log", "sh", "-c", 'test -z "$CUDA_VISIBLE_DEVICES"', cwd=tmp_path, CUDA_VISIBLE_DEVICES="3"
        ).returncode
        == 0
    )


def test_a_killed_task_says_so(tmp_path):
    done = run("x.log", "sh", "-c", "kill -9 $$", cwd=tmp_path)
    assert (done.returncode, "x.log failed (signal 9: killed, most likely out of memory)" in done.stderr) == (1, True)
    assert "# Ended (code 0; signal 9)" in (tmp_path / "x.log").read_text()


def test_many_failures_take_one_screen(tmp_path):
    done = run("JOB=1:40", "x.JOB.log", "sh", "-c", "seq 100; exit 3", cwd=tmp_path)
    assert len(done.stderr.splitlines()) < 60
    assert "... and 36 more: 5-40" in done.stderr
    assert "40 of 40 jobs failed, logs are in x.JOB.log" in done.stderr


@pytest.mark.parametrize(("limit", "named"), [(0, "request.json"), (2000, "x.log")])
def test_a_full_disk_is_one_line_with_the_files_name(tmp_path, limit, named):
    """A limit on the size of files stands in for the disk: before the task begins, and while its log is written."""
    command = ["bash", "-c", f'ulimit -f {limit // 1000}; exec "$@"', "-", sys.executable, RUN, "x.log"]
    done = subprocess.run([*command, "head", "-c", "9000", "/dev/zero"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(rf"run\.py: \S*{named}: could not write: File too large\n", done.stderr), done.stderr
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "log").touch()
    done = run("log/x.log", "true", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "log: File exists" in done.stderr


def test_a_log_may_be_named_like_an_option_and_hold_any_bytes(tmp_path):
    assert run("lr=0.1/x.log", "printf", "%s", b"\xff".decode(errors="surrogateescape"), cwd=tmp_path).returncode == 0
    assert b"\xff" in (tmp_path / "lr=0.1/x.log").read_bytes()
