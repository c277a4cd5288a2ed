"""Progress on a terminal and off it: jobs by their states, training by train.jsonl, and a line that leaves nothing behind."""

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import progress_line
import pytest
from job_progress import Jobs, Pace, Tail, data_dirs, log_forms
from job_request import parse
from progress_line import Line, Part, columns, duration, fitted

ROOT = Path(__file__).resolve().parents[3]
RUN = f"{sys.executable} {ROOT}/utils/run.py"
ERASED = "\r\x1b[K"
FRAME = re.compile(r"\r([^\r\n\x1b]+)\x1b\[K")


@pytest.fixture
def fast(tmp_path):
    """A sitecustomize that has every launcher look twenty times a second."""
    (tmp_path / "fast").mkdir()
    (tmp_path / "fast/sitecustomize.py").write_text(
        f"import sys\nsys.path.append({str(ROOT / 'utils')!r})\nimport progress_line\nprogress_line.SECOND = 0.05\n"
    )
    return {"PYTHONPATH": str(tmp_path / "fast"), "TERM": "xterm"}


class Terminal:
    """A program on a pseudo-terminal, and what it has written so far."""

    def __init__(self, words, cwd, env, width=120):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=os.environ | env, start_new_session=True
        )
        os.close(slave)
        self.text = ""

    def read_until(self, pattern="(?!)"):
        """Read until a pattern has come, or the end."""
        deadline = time.time() + 30
        while not re.search(pattern, self.text):
            assert time.time() < deadline, self.text
            try:
                self.text += os.read(self.master, 65536).decode()
            except OSError:
                break
        return self.text

    def end(self):
        self.read_until()
        os.close(self.master)
        return self.process.wait(timeout=30)

    @property
    def frames(self):
        return FRAME.findall(self.text)


@pytest.fixture
def on_terminal(tmp_path, fast):
    def start(line, width=120, **env):
        return Terminal(["bash", "-c", line], tmp_path, fast | env, width)

    return start


def test_twenty_tasks_of_which_one_fails(on_terminal, tmp_path):
    line = f"exec {RUN} --max-jobs-run 4 JOB=1:20 log/x.JOB.log sh -c 'sleep 0.1; test JOB -ne 7'"
    terminal = on_terminal(line, STAGE_TITLE="stage 3: features x")
    assert terminal.end() == 1
    counts = [re.match(r"stage 3: features x: (\d+) of 20 jobs done, (\d+) running(, 1 failed)?, ", frame)
              for frame in terminal.frames]  # fmt: skip
    assert all(counts) and len(counts) > 4, terminal.frames
    done = [int(found[1]) for found in counts]
    assert done == sorted(done) and 0 <= done[0] < 8 < done[-1] <= 19
    assert all(0 <= int(found[2]) <= 4 for found in counts) and max(int(found[2]) for found in counts) > 1
    assert counts[-1][3] and not counts[0][3]
    assert all(frame.endswith(", log/x.JOB.log") for frame in terminal.frames)
    assert re.search(r", \d+ s left, ", terminal.frames[-1])
    left = terminal.text.rpartition("\x1b[K")
    assert left[0].endswith("\r") and left[2].startswith("run.py: log/x.7.log failed (code 1); its last lines:\r\n")


RECIPE = """set -euo pipefail
stage=0 stop_stage=8 dry_run=false {quiet}
. "{root}/utils/stage.sh"
if stage_needs_run 0 first .first.done "seed=1"; then
  {run} --pick incomplete --max-jobs-run 2 JOB=1:6 log/x.JOB.log sh -c 'sleep 0.2; test JOB -lt 4 || test -e go || sleep 60'
  touch made
  mark_done 0 .first.done "seed=1" made
fi
"""


def write_recipe(folder, quiet=""):
    (folder / "run.sh").write_text(RECIPE.format(root=ROOT, run=RUN, quiet=quiet))


def test_a_stage_that_was_killed_half_way_goes_on_where_it_was(on_terminal, tmp_path):
    write_recipe(tmp_path)
    first = on_terminal("exec bash run.sh")
    first.read_until("first: 3 of 6 jobs done, 2 running, ")
    first.process.send_signal(signal.SIGTERM)
    assert first.end() == -signal.SIGTERM
    assert first.text.rpartition("\n")[2] == "" or first.text.endswith(ERASED)  # no piece of the line is left
    assert first.frames[0].startswith("stage 0: first: 0 of 6 jobs done, 2 running, ")
    (tmp_path / "go").touch()
    second = on_terminal("exec bash run.sh")
    assert second.end() == 0
    counts = [re.search(r"first: (\d) of 6 jobs done, (\d) running, ", frame) for frame in second.frames]
    assert counts[0][1] == "3" and all(3 <= int(found[1]) <= 6 for found in counts), second.frames
    last = second.text.rpartition("\x1b[K")
    assert last[0].endswith("\r") and re.fullmatch(r"[-0-9: ]+ stage 0: done in \d+ s\r\n", last[2]), second.text


TRAINER = """
import json, os, sys, time
folder = sys.argv[sys.argv.index("--exp-dir") + 1]
time.sleep(0.2)
print("2026-01-31 12:00:00 INFO tiny: 7 parameters, 6 speakers, 2 steps an epoch, 0 left over", flush=True)
json.dump({"train": {"num_epochs": 3}}, open(f"{folder}/config.json", "w"))
open(f"{folder}/train.jsonl.tmp", "w").close()
os.replace(f"{folder}/train.jsonl.tmp", f"{folder}/train.jsonl")
with open(f"{folder}/train.jsonl", "a") as file:
    for step in range(1, 7):
        time.sleep(0.3)
        epoch = (step - 1) // 2
        say = lambda **values: print(json.dumps({"step": step, "epoch": epoch, **values}), file=file, flush=True)
        say(loss=8.125 - step, utterances_per_second=310.4)
        if step % 2 == 0:
            say(valid_eer=10.0 - step)
time.sleep(1)
"""


def test_a_training_of_three_epochs(on_terminal, tmp_path):
    (tmp_path / "train.py").write_text(TRAINER)
    (tmp_path / "m").mkdir()
    (tmp_path / "m/train.jsonl").write_text('{"step": 99, "epoch": 49, "loss": 1, "valid_eer": 1.5}\n')
    line = f"exec {RUN} m/log/train.log {sys.executable} train.py --exp-dir m"
    terminal = on_terminal(line, STAGE_TITLE="stage 4: train tiny", width=160)
    assert terminal.end() == 0
    frames = terminal.frames
    assert frames[0].startswith("stage 4: train tiny: starting, ")
    assert "step 99" not in terminal.text  # of an earlier run, which this one begins anew
    pattern = (
        r"stage 4: train tiny: step (\d) of 6, epoch (\d) of 3, loss ([\d.]+), (?:held-out EER (\d\.00) %, )?310 utter"
    )
    seen = [found for frame in frames if (found := re.match(pattern, frame))]
    steps = [int(found[1]) for found in seen]  # a busy machine draws not every one
    assert steps == sorted(steps) and len(set(steps)) >= 3 and steps[-1] == 6
    assert all(int(found[2]) == (int(found[1]) + 1) // 2 for found in seen)
    for found in seen:
        step, eer = int(found[1]), found[4] and float(found[4])
        assert float(found[3]) == pytest.approx(8.125 - step, abs=0.005)
        evaluated = [at for at in (step - 2, step - 1, step) if at % 2 == 0]  # the epoch's end may not be known yet
        assert eer in {10 - at if at > 0 else None for at in evaluated}
    assert seen[-1].string.endswith(", 0 s left, m/log/train.log")
    assert all(re.search(r", \d+ s left, m/log/train.log$", found.string) for found in seen[1:])
    assert terminal.text.endswith(ERASED)


def test_a_line_is_never_wider_than_the_terminal(on_terminal, tmp_path):
    line = f"exec {RUN} JOB=1:3 a_folder/with_a_long_name/log/compute.JOB.log sleep 0.3"
    terminal = on_terminal(line, width=42, STAGE_TITLE="stage 3: features x")
    assert terminal.end() == 0
    assert terminal.frames and max(map(len, terminal.frames)) <= 41
    assert all(frame.startswith("stage 3: features x: 0/3 done") for frame in terminal.frames[:2])
    assert all("compute.JOB.log" not in frame or frame.endswith(", compute.JOB.log") for frame in terminal.frames)


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"STAGE_QUIET": "true"}])
def test_neither_a_dumb_terminal_nor_a_quiet_run_gets_a_line(on_terminal, env):
    terminal = on_terminal(f"exec {RUN} x.log sleep 0.3", **env)
    assert (terminal.end(), terminal.text) == (0, "")


def test_the_recipe_s_option_reaches_its_jobs(on_terminal, tmp_path):
    (tmp_path / "go").touch()
    write_recipe(tmp_path, "quiet=true")
    terminal = on_terminal("exec bash run.sh")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.text and "jobs done" not in terminal.text


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_line_with_the_jobs(on_terminal, signum):
    terminal = on_terminal(f"exec {RUN} x.log sleep 60")
    terminal.read_until("\x1b")
    terminal.process.send_signal(signum)
    assert terminal.end() == 130
    assert terminal.text.endswith(f"{ERASED}run.py: interrupted; x.log was not finished\r\n")


def test_a_run_in_the_background_draws_nothing(tmp_path, fast):
    line = f"set -m; {RUN} x.log sleep 0.4 & wait $!; echo rc $?"
    terminal = Terminal(
        [sys.executable, "-c", f"import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(['bash', '-c', {line!r}])))"],
        tmp_path, fast,
    )  # fmt: skip
    terminal.end()
    assert terminal.text.endswith("rc 0\r\n") and "\x1b" not in terminal.text


def test_off_a_terminal_there_is_a_line_a_minute_and_none_before(monkeypatch):
    stream, looks = io.StringIO(), []
    monkeypatch.setattr(progress_line, "SECOND", 0.005)

    def look():
        looks.append(1)
        return [Part(["stage 5: x"]), Part([f"{len(looks)} of 9 jobs done"]), Part(["log/x.JOB.log"], 7)]

    with progress_line.shown(look, time.time() - 600, Line(stream)):  # the eleventh minute is not over
        time.sleep(0.1)
    assert (stream.getvalue(), looks) == ("", [])
    monkeypatch.setattr(progress_line, "MINUTE", 0.1)
    with progress_line.shown(look, time.time(), Line(stream)):
        while stream.getvalue().count("\n") < 3:
            time.sleep(0.01)
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(looks)
    assert [line[20:] for line in lines[:2]] == [f"stage 5: x: {n} of 9 jobs done, log/x.JOB.log" for n in (1, 2)]
    assert time.strptime(lines[0][:19], "%Y-%m-%d %H:%M:%S")


def jobs(folder, command, statuses, monkeypatch, log="log/x.JOB.log", **kwargs):
    monkeypatch.chdir(folder)
    request = parse([*(f"JOB=1:{len(statuses)}",) * (len(statuses) > 1), log, *command])
    return Jobs(request, lambda task: statuses[task - 1], "stage 5: x", time.time() - 30, **kwargs)


def test_within_jobs_the_sets_that_they_are_done_with_count(tmp_path, monkeypatch):
    for name, size in (("a", 10), ("b", 30)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "utt2spk").write_text("u s\n" * size)
    (tmp_path / "log").mkdir()
    old = tmp_path / "log/x.2.log"
    old.write_text("a: 5 utterances\nb: 15 utterances\n")  # of an earlier run
    shown = jobs(tmp_path, ["extract", "--train-dir", "a", "--out", "o", "a", "b"], ["running"] * 2, monkeypatch)
    assert "0 of 40 utterances" in fitted(shown.look())
    (tmp_path / "log/x.1.log").write_text("# head\na: 5 utterances\nb: 15 utter")
    assert "5 of 40 utterances" in fitted(shown.look())
    with (tmp_path / "log/x.1.log").open("a") as log:
        log.write("ances\n")
    old.write_text("a: 5 utterances\n")
    text = fitted(shown.look())
    assert "0 of 2 jobs done, 2 running, 25 of 40 utterances, " in text and text.endswith(" left, log/x.JOB.log")
    assert list(data_dirs(["x", "a", "-y", "b"])) == [Path("b/utt2spk")]


def test_a_job_that_counts_is_shown_and_what_it_was_expected_to_take(tmp_path, monkeypatch):
    shown = jobs(tmp_path, ["prepare"], ["running"], monkeypatch, log="log/p.log", estimated=lambda: 90.0)
    assert fitted(shown.look()) == "stage 5: x: 30 s, 60 s left, log/p.log"
    (tmp_path / "log").mkdir()
    (tmp_path / "log/p.log").write_text("dev: 300 of 4000 files\ndev: 640 of 4000 files\n3 of 4 weights\n")
    assert fitted(shown.look()).startswith("stage 5: x: dev 640 of 4000 files, 30 s, ")
    waiting = jobs(tmp_path, ["prepare"], [""], monkeypatch, log="log/q.log")
    assert fitted(waiting.look()) == "stage 5: x: waiting to start, 30 s, log/q.log"


def test_what_a_scheduler_has_lost_is_no_longer_running(tmp_path, monkeypatch):
    shown = jobs(tmp_path, ["x"], ["done", "failed", "lost", "running", ""], monkeypatch)
    assert fitted(shown.look()).startswith("stage 5: x: 1 of 5 jobs done, 1 running, 2 failed, ")


def test_a_pace_counts_from_where_it_was_first_seen(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    pace = Pace()
    assert pace.see(50, 100) == (0.0, None)  # an earlier run's
    now[0] = 110.0
    assert pace.see(70, 100) == (2.0, 15.0)
    assert pace.see(10, 100) == (0.0, None)  # begun anew
    now[0] = 120.0
    assert pace.see(20, 100) == (1.0, 80.0)


def test_a_tail_reads_each_line_once_and_a_new_file_from_its_start(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old\n")
    tail, whole = Tail(path), Tail(path, old_too=True)
    assert tail.lines() == (False, b"") and whole.lines() == (True, b"old\n")
    with path.open("ab") as file:
        file.write(b"one\ntw")
    assert whole.lines() == (False, b"one\n")
    with path.open("ab") as file:
        file.write(b"o\n")
    assert whole.lines() == (False, b"two\n")
    (tmp_path / "y").write_bytes(b"new\n")
    (tmp_path / "y").replace(path)
    assert whole.lines() == (True, b"new\n") == tail.lines()


def test_what_matters_least_gives_way():
    parts = [Part(["title"]), Part(["1 of 2"]), Part(["rate"], 2), Part(["/a/log", "log"], 3)]
    assert fitted(parts) == fitted(parts, 28) == "title: 1 of 2, rate, /a/log"
    assert fitted(parts, 26) == "title: 1 of 2, rate, log"
    assert fitted(parts, 18) == "title: 1 of 2, log"  # its name outlasts what comes before
    assert fitted(parts, 17) == "title: 1 of 2"
    assert fitted(parts, 7) == "title: "
    parts = [Part(["title"]), Part(["1 of 2", "1/2"], 6, stays=True), Part(["x"], 2)]
    assert [fitted(parts, width) for width in (16, 15, 12, 10)] == [
        "title: 1 of 2, x", "title: 1/2, x", "title: 1/2", "title: 1/2"
    ]  # fmt: skip
    assert fitted([Part(["a\nb\x1b[1m"])]) == "a?b?[1m"
    assert columns(fitted([Part(["声" * 9])], 9)) == 8
    assert log_forms("/a/b/c/d.log") == ["/a/b/c/d.log", ".../b/c/d.log", ".../c/d.log", "d.log"]
    assert set(log_forms("d.log")) == {"d.log"}


def test_durations_are_words():
    assert [duration(n) for n in (0.4, 119.4, 120, 3600, 7199, 7200, 12000)] == [
        "0 s", "119 s", "2 min", "60 min", "2 h 0 min", "2 h 0 min", "3 h 20 min"
    ]  # fmt: skip


def test_a_log_gets_counts_and_a_terminal_a_bar(capsys, monkeypatch):
    from sv.base import progress

    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert list(progress.counted("abc", 3, "dev", "files")) == ["a", "b", "c"]
    assert capsys.readouterr().out.splitlines() == [f"dev: {n} of 3 files" for n in (1, 2, 3)]
    monkeypatch.setattr(progress, "EVERY", 60.0)
    assert list(progress.counted("abc", 3, "dev", "files")) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""
