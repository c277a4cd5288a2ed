"""utils/run_guard.py: a run ends as a whole, whichever of its processes is hit by what, before its locks go."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """set -euo pipefail
stage=0 stop_stage=8 dry_run=false
. "{root}/utils/stage.sh"
if stage_needs_run 0 first .first.done "seed=1"; then
  "{root}/utils/run.py" JOB=1:2 JOB.log {command}
  touch made
  mark_done 0 .first.done "seed=1" made
fi
"""
STUBBORN = "bash -c 'trap \"\" TERM INT HUP; touch begun.JOB; while :; do sleep 0.1; done'"
STOPPED = "bash -c 'touch begun.JOB; kill -STOP $$; sleep 300'"
ORDINARY = "bash -c 'touch begun.JOB; sleep 300'"
DETACHED = "bash -c 'setsid sleep 300 & touch begun.JOB; sleep 300'"


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(command, **env):
        (tmp_path / "run.sh").write_text(SCRIPT.format(root=ROOT, command=command))
        log = (tmp_path / "log").open("w")
        process = subprocess.Popen(
            ["bash", "run.sh"], cwd=tmp_path, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"GUARD_TEST": str(tmp_path)} | env,
        )  # fmt: skip
        started.append(process)
        deadline = time.time() + 30
        while len(list(tmp_path.glob("begun.*"))) < 2:
            assert time.time() < deadline and process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.02)
        return process

    yield begin
    for pid in alive(tmp_path):
        os.kill(pid, signal.SIGKILL)


def alive(folder):
    """Processes of the run, by command line; zombies do not count."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"GUARD_TEST={folder}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
    return {pid: line for pid, line in found.items() if line}


def until_gone(folder, seconds=20):
    deadline = time.time() + seconds
    while alive(folder) and time.time() < deadline:
        time.sleep(0.02)
    return alive(folder)


HITS = [
    (signum, command) for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT) for command in (ORDINARY, DETACHED)
]


@pytest.mark.parametrize(("signum", "command"), [*HITS, (signal.SIGTERM, STOPPED), (signal.SIGTERM, STUBBORN)])
def test_a_signal_to_run_sh_alone_ends_all_of_it_before_its_locks_go(start, tmp_path, signum, command):
    process = start(command)
    process.send_signal(signum)
    while process.poll() is None and (tmp_path / ".lock").exists():
        time.sleep(0.005)
    workers = [line for line in alive(tmp_path).values() if "sleep" in line or "begun" in line]
    assert workers == []
    assert process.wait(timeout=30) == -signum
    assert until_gone(tmp_path, 1) == {}
    assert not [path for path in tmp_path.glob(".*") if "lock" in path.name or "reading" in path.name]
    assert not (tmp_path / "made").exists()


def test_a_kill_of_run_sh_alone_ends_all_of_it(start, tmp_path):
    process = start(DETACHED)
    process.kill()
    process.wait()
    assert until_gone(tmp_path) == {}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("victim", ["run.py", "bash run.sh", "begun"])
def test_a_signal_to_any_process_ends_all_of_it(start, tmp_path, signum, victim):
    process = start(DETACHED)
    for pid, line in alive(tmp_path).items():
        if victim in line and "run_guard" not in line:
            os.kill(pid, signum)
    assert process.wait(timeout=30) != 0
    assert until_gone(tmp_path, 5) == {}
    assert not (tmp_path / "made").exists()


def test_a_signal_to_the_group_ends_all_of_it(start, tmp_path):
    process = start(ORDINARY)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == -signal.SIGINT
    assert until_gone(tmp_path, 2) == {}


def test_nohup_is_respected(tmp_path):
    (tmp_path / "run.sh").write_text(SCRIPT.format(root=ROOT, command="bash -c 'touch begun.JOB; sleep 1'"))
    process = subprocess.Popen(["nohup", "bash", "run.sh"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("begun.*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 0
    assert (tmp_path / "made").exists()


def test_the_exit_code_is_the_recipes(tmp_path):
    script = f'. "{ROOT}/utils/stage.sh"\nexit 7\n'
    (tmp_path / "run.sh").write_text(script)
    assert subprocess.run(["bash", "run.sh"], cwd=tmp_path).returncode == 7
