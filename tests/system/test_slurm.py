"""utils/slurm.py on a real Slurm of four virtual nodes."""

import signal
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(300)


def wait_until(condition, seconds=60):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "waited too long"
        time.sleep(0.05)


def test_an_array_with_awkward_arguments(slurm, submit, tmp_path):
    done = submit(slurm, "JOB=1:6", "log/x.JOB.log", "printf", "%s|", "it's", 'a "b"', "$HOME", "JOB")
    assert done.returncode == 0, done.stderr
    for task in range(1, 7):
        lines = (tmp_path / f"log/x.{task}.log").read_text().splitlines()
        assert lines[4].startswith(f"""it's|a "b"|$HOME|{task}|""")
        assert lines[-1].startswith("# Ended (code 0) at ")


def test_messages_and_logs_are_those_of_run_py(slurm, submit, tmp_path):
    words = ["--num-tries", "2", "JOB=1:3", "log/x.JOB.log", "sh", "-c", "echo reason JOB; exit $((JOB - 1))"]
    done = submit(slurm, *words)
    assert done.returncode == 1
    assert "slurm.py: attempt 2 of 2: 2 of 3 jobs again (code 1)" in done.stderr
    assert "slurm.py: log/x.3.log failed (code 2, attempt 2); its last lines:\n  reason 3\n" in done.stderr
    assert "slurm.py: 2 of 3 jobs failed, logs are in log/x.JOB.log" in done.stderr
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == [
        "x.1.log", "x.2.log", "x.2.log.1", "x.3.log", "x.3.log.1",
    ]  # fmt: skip


def test_at_most_so_many_at_once(slurm, submit, tmp_path):
    (tmp_path / "in").mkdir()
    script = "touch in/JOB; ls in | wc -l > most.JOB; sleep 0.5; rm in/JOB"
    assert submit(slurm, "--max-jobs-run", "2", "JOB=1:5", "x.JOB.log", "sh", "-c", script).returncode == 0
    assert max(int((tmp_path / f"most.{task}").read_text()) for task in range(1, 6)) == 2


def test_gpus_are_the_ones_that_slurm_gives(slurm, submit, tmp_path):
    script = 'echo "$CUDA_VISIBLE_DEVICES" > gpus.JOB'
    assert submit(slurm, "--gpu", "2", "JOB=1:2", "x.JOB.log", "sh", "-c", script).returncode == 0
    assert (tmp_path / "gpus.2").read_text() == "0,1\n"
    assert submit(slurm, "JOB=1:2", "x.JOB.log", "sh", "-c", script).returncode == 0
    assert (tmp_path / "gpus.2").read_text() == "\n"


def test_a_task_out_of_memory_is_tried_with_twice_as_much(slurm, submit, tmp_path):
    eat = "import time; x = bytearray(150 << 20); time.sleep(4)"
    done = submit(
        slurm, "--mem", "100M", "--num-tries", "3", "JOB=1:2", "x.JOB.log", sys.executable, "-c", f"if JOB == 2: {eat}"
    )
    assert done.returncode == 0, done.stderr
    assert "slurm.py: 2 ran out of memory: now with --mem 200M" in done.stderr
    assert "out of memory" in done.stderr


def test_a_task_over_its_time_limit_is_named_and_not_tried_again(slurm, submit, tmp_path):
    done = submit(
        slurm, "--time", "1", "--num-tries", "3", "JOB=1:2", "x.JOB.log", "sh", "-c", "test JOB = 1 || sleep 200"
    )
    assert done.returncode == 1
    assert "x.2.log failed (over its time limit (Slurm: TIMEOUT); --time gives it more" in done.stderr
    assert "attempt 2" not in done.stderr
    assert "1 of 2 jobs failed" in done.stderr


def test_a_task_that_somebody_cancels_is_named(slurm, submit, tmp_path):
    process = submit(
        slurm,
        "--num-tries",
        "2",
        "JOB=1:2",
        "x.JOB.log",
        "sh",
        "-c",
        "touch began.JOB; test JOB = 1 || sleep 200",
        wait=False,
    )
    wait_until((tmp_path / "began.2").exists)
    job = slurm.call("squeue", "-h", "-o", "%F").split()[0]
    slurm.call("scancel", f"{job}_2")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "x.2.log failed (cancelled by somebody else (Slurm: CANCELLED)" in err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_jobs(slurm, submit, tmp_path, signum):
    process = submit(slurm, "JOB=1:3", "x.JOB.log", "sh", "-c", "touch began.JOB; sleep 200", wait=False)
    wait_until(lambda: len(list(tmp_path.glob("began.*"))) == 3)
    process.send_signal(signum)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert "its jobs are cancelled" in err
    wait_until(lambda: not slurm.call("squeue", "-h"))


def test_jobs_of_a_killed_submitter_are_cancelled_by_the_next_one(slurm, submit, tmp_path):
    words = [
        "JOB=1:2",
        "x.JOB.log",
        "sh",
        "-c",
        "echo $$ >> began.JOB; { test -e go || sleep 200; } && echo end >> ended.JOB",
    ]
    process = submit(slurm, *words, wait=False)
    wait_until(lambda: len(list(tmp_path.glob("began.*"))) == 2)
    process.kill()
    process.communicate()
    (tmp_path / "go").touch()
    done = submit(slurm, *words)
    assert done.returncode == 0
    assert "of an earlier, killed submission of x.JOB.log" in done.stderr
    assert [(tmp_path / f"ended.{task}").read_text() for task in (1, 2)] == ["end\n"] * 2  # once each
    assert not slurm.call("squeue", "-h")


def test_a_killed_node_costs_another_attempt_of_its_tasks_alone(slurm, submit, tmp_path):
    script = "echo JOB >> began.JOB; while ! test -e go; do sleep 0.1; done; echo done > result.JOB"
    words = ["--num-threads", "4", "--num-tries", "2", "JOB=1:4", "x.JOB.log", "sh", "-c", script]  # one task a node
    process = submit(slurm, *words, wait=False)
    wait_until(lambda: len(list(tmp_path.glob("began.*"))) == 4)
    slurm.kill_node("n2")
    (tmp_path / "go").touch()
    try:
        _, err = process.communicate(timeout=200)
    finally:
        slurm.start_node("n2")
    assert process.returncode == 0, err
    assert "its node failed (Slurm: NODE_FAIL)" in err
    assert sorted(path.name for path in tmp_path.glob("result.*")) == [f"result.{task}" for task in range(1, 5)]
    attempts = [len((tmp_path / f"began.{task}").read_text().split()) for task in range(1, 5)]
    assert sorted(attempts) == [1, 1, 1, 2]


def test_a_controller_away_for_a_while_is_waited_for(slurm, submit, tmp_path):
    process = submit(slurm, "JOB=1:2", "x.JOB.log", "sh", "-c", "touch began.JOB; sleep 6", wait=False)
    wait_until(lambda: len(list(tmp_path.glob("began.*"))) == 2)
    slurm.signal("slurmctld", signal.SIGTERM)
    time.sleep(4)
    slurm.start_controller()
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err


def test_arrays_over_the_limit_and_jobs_soon_forgotten(forgetful_slurm, submit, tmp_path):
    script = "echo x > did.JOB; test JOB -ne 7"
    done = submit(forgetful_slurm, "JOB=1:11", "log/x.JOB.log", "sh", "-c", script)
    assert done.returncode == 1
    assert "1 of 11 jobs failed" in done.stderr
    assert len(list(tmp_path.glob("did.*"))) == 11
    done = submit(
        forgetful_slurm, "y.log", "sh", "-c", "kill -9 $PPID; sleep 100"
    )  # the task's runner dies without a word
    assert done.returncode == 1
    assert "y.log failed (" in done.stderr


def test_two_submissions_at_once(slurm, submit, tmp_path):
    first = submit(slurm, "JOB=1:3", "log/a.JOB.log", "sh", "-c", "sleep 0.5; echo JOB > a.JOB", wait=False)
    second = submit(slurm, "JOB=1:3", "log/b.JOB.log", "sh", "-c", "echo JOB > b.JOB; test JOB -ne 2")
    first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 1)
    assert len(list(tmp_path.glob("[ab].*"))) == 6


def test_bad_requests_are_told_in_slurms_words(slurm, submit):
    done = submit(slurm, "-p", "nosuch", "x.log", "true")
    assert (done.returncode, "invalid partition specified: nosuch" in done.stderr) == (1, True)
    done = submit(slurm, "--mem", "4T", "x.log", "true")
    assert (done.returncode, "sbatch --export=ALL" in done.stderr) == (1, True)
    assert submit(slurm, "--mme", "4T", "x.log", "true").returncode == 2


def test_submitting_from_inside_a_job(slurm, submit, tmp_path):
    inner = [sys.executable, ROOT / "utils/slurm.py"]
    done = submit(
        slurm,
        "--mem",
        "1G",
        "--num-threads",
        "2",
        "outer.log",
        *inner,
        "JOB=1:2",
        "inner.JOB.log",
        "sh",
        "-c",
        "echo $SLURM_CPUS_PER_TASK > cpus.JOB",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cpus.2").read_text() == "\n"
