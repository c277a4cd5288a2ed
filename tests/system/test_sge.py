"""utils/sge.py on a real Grid Engine of one host with four slots."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def submit(sge, open_folder):
    """submit(*words) -> finished process of the launcher, as an ordinary user, in an open folder."""

    def call(*words, wait=True):
        command = ["/usr/bin/python3", ROOT / "utils/sge.py", *map(str, words)]
        user = {"user": sge.user.pw_uid, "group": sge.user.pw_gid, "extra_groups": []}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": open_folder, "env": sge.env}
        process = subprocess.Popen(command, **pipes, **user, start_new_session=True)
        if not wait:
            return process
        out, err = process.communicate(timeout=200)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    return call


def wait_until(condition, seconds=60):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "waited too long"
        time.sleep(0.05)


def test_an_array_of_mixed_ends(submit, open_folder):
    script = "echo it\\'s JOB; echo x >> runs.JOB; exit $((JOB == 3 ? 100 : JOB == 5 ? 7 : 0))"
    done = submit("--num-tries", "2", "--max-jobs-run", "3", "JOB=1:6", "log/x.JOB.log", "bash", "-c", script)
    assert done.returncode == 1
    assert "sge.py: attempt 2 of 2: 2 of 6 jobs again (code 100)" in done.stderr  # 100 is no Eqw: tasks answer 0 or 1
    assert "sge.py: log/x.5.log failed (code 7, attempt 2); its last lines:\n  it's 5\n" in done.stderr
    assert [len((open_folder / f"runs.{task}").read_text().split()) for task in range(1, 7)] == [1, 1, 2, 1, 2, 1]


def test_threads_and_memory_are_asked_for(submit, sge, open_folder):
    script = "qstat -j $JOB_ID | grep -E 'hard resource_list|parallel environment' > asked; echo $NSLOTS >> asked"
    assert submit("--num-threads", "2", "--mem", "1G", "x.log", "bash", "-c", script).returncode == 0
    text = " ".join((open_folder / "asked").read_text().split())
    assert "ram_free=1G" in text
    assert "smp range: 2" in text
    assert text.endswith(" 2")


def test_a_task_over_its_time_limit_is_named(submit):
    done = submit("--time", "0:0:2", "--num-tries", "2", "x.log", "sleep", "60")
    assert done.returncode == 1
    assert "x.log failed (over its time limit (Grid Engine" in done.stderr
    assert "attempt 2" not in done.stderr


def test_a_killed_task_is_tried_again(submit):
    done = submit("--num-tries", "2", "x.log", "bash", "-c", "test -e again && exit; touch again; kill -9 $$")
    assert (done.returncode, "1 of 1 jobs again (signal 9" in done.stderr) == (0, True)


def test_a_job_that_cannot_start_is_deleted_and_explained(submit, sge, open_folder):
    done = submit("-wd", "/none/such", "x.log", "true")
    assert done.returncode == 1
    assert "could not start (Grid Engine: " in done.stderr
    wait_until(lambda: not sge.call("qstat", "-u", "*"))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_deletes_the_jobs(submit, sge, open_folder, signum):
    process = submit("JOB=1:3", "x.JOB.log", "bash", "-c", "touch began.JOB; sleep 200", wait=False)
    wait_until(lambda: len(list(open_folder.glob("began.*"))) == 3)
    process.send_signal(signum)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signum, err
    wait_until(lambda: not sge.call("qstat", "-u", "*"))


def test_an_execution_daemon_away_for_a_while_is_waited_for(submit, sge, open_folder):
    process = submit("JOB=1:2", "x.JOB.log", "bash", "-c", "touch began.JOB; sleep 8", wait=False)
    wait_until(lambda: len(list(open_folder.glob("began.*"))) == 2)
    sge.pause_execution(12)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


def test_bad_requests_are_told_in_grid_engines_words(submit):
    done = submit("-q", "nosuch", "x.log", "true")
    assert (done.returncode, 'job requests unknown queue "nosuch"' in done.stderr) == (1, True)


def test_gpus_are_claimed_by_the_tasks_themselves(submit, open_folder, sge, monkeypatch):
    """Grid Engine counts GPUs without saying which; a stand-in for nvidia-smi lists two."""
    tool = open_folder / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: x'\necho 'GPU 1: x'\n")
    tool.chmod(0o755)
    monkeypatch.setitem(sge.env, "PATH", f"{open_folder}:{sge.env['PATH']}")
    script = "mkdir on.$CUDA_VISIBLE_DEVICES && sleep 0.5 && rmdir on.$CUDA_VISIBLE_DEVICES; echo $CUDA_VISIBLE_DEVICES > gpu.JOB"
    done = submit("--gpu", "1", "JOB=1:4", "x.JOB.log", "bash", "-c", script)
    assert done.returncode == 0, done.stderr
    assert {(open_folder / f"gpu.{task}").read_text() for task in range(1, 5)} == {"0\n", "1\n"}
