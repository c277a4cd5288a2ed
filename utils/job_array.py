"""Tasks of run.py, slurm.py and sge.py: Kaldi's log, the state that a task leaves, attempts, reports."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from job_progress import progress
from job_request import OPERATORS, Request, ranges, say, shell_line

NO_REMEDY = re.compile("time limit|cancelled|revoked|reservation|by a rule of the cluster")
BAD_LUCK = re.compile(
    "node failed|failed to boot|preempted|could not be (launched|configured)|requeued and held|rescheduled|host failed"
)
UNLUCKY_TRIES = 2


@dataclass(frozen=True, kw_only=True)
class State:
    """State of a task, as it wrote itself; `status` is running, done, failed, or lost (if it wrote nothing more).

    `reason` holds the scheduler's word where the task could not write its own; `digest` is that of log and command.
    """

    task: int
    status: str
    attempt: int = 1
    code: int | None = None
    signal: int | None = None
    host: str = ""
    peak_mib: int = 0
    reason: str = ""
    digest: str = ""

    @property
    def ended(self) -> bool:
        """True if it does not run any more."""
        return self.status != "running"

    @property
    def out_of_memory(self) -> bool:
        """True if more memory may help: the kernel's or the scheduler's killer left its sign."""
        return "memory" in self.reason or (not self.reason and self.signal == signal.SIGKILL)

    @property
    def retriable(self) -> bool:
        """True if another attempt can end otherwise; after a time limit or somebody's `scancel` it cannot."""
        return self.status != "done" and not NO_REMEDY.search(self.reason)

    @property
    def unlucky(self) -> bool:
        """True if the cluster ended the task, for no fault of its own: it has UNLUCKY_TRIES more attempts than --num-tries."""
        return self.status != "done" and bool(BAD_LUCK.search(self.reason))

    def __str__(self) -> str:
        if self.reason:
            return self.reason
        if self.signal:
            return f"signal {self.signal}" + (": killed, most likely out of memory" if self.signal == 9 else "")
        return f"code {self.code}"


def digest(request: Request, task: int) -> str:
    """Identity of a task among those of the same log: its command, and where it runs."""
    return hashlib.sha256(os.fsencode("\0".join([str(Path.cwd()), *request.command_of(task)]))).hexdigest()[:16]


def state_file(request: Request, task: int) -> Path:
    """File that holds a task's state."""
    return request.folder / f"state.{task}.json"


def write_state(request: Request, state: State) -> None:
    """Put a state where the submitter looks for it, whole."""
    write_whole(state_file(request, state.task), json.dumps(asdict(state)) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole, or as it was; raises OSError naming it.

    The temporary file is new: what lies there by its name, a link that somebody planted, say, is not followed.
    """
    temporary = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise named(error, path) from error


def named(error: OSError, path: Path) -> OSError:
    """The error of writing a file, with the file's name."""
    return OSError(error.errno, f"could not write: {error.strerror or error}", str(path))


@contextmanager
def one_line_of_errors(name: str) -> Iterator[None]:
    """Say an OSError of the block (a full disk, a folder that is read-only) in one line, and exit with 1."""
    try:
        yield
    except OSError as error:
        say(name, f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(1)


def store(request: Request, scheduler_sets_devices: bool = True) -> None:
    """Write the request where job_task.py and summarize_logs.py find it."""
    request.folder.mkdir(parents=True, exist_ok=True)
    stored = asdict(request) | {"cwd": str(Path.cwd()), "scheduler_sets_devices": scheduler_sets_devices}
    write_whole(request.folder / "request.json", json.dumps(stored, indent=1))


def read_state(request: Request, task: int) -> State | None:
    """The state that a task left, or None."""
    try:
        return State(**json.loads(state_file(request, task).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None


def picked(request: Request) -> list[int]:
    """The tasks that --pick chooses; raises nothing, a state that belongs to another command counts for nothing."""
    pick = request.options.get("pick", "all")
    if pick == "all":
        return list(request.tasks)
    states = {task: read_state(request, task) for task in request.tasks}
    states = {task: state for task, state in states.items() if state and state.digest == digest(request, task)}
    done = {task for task, state in states.items() if state.status == "done"}
    return [task for task in request.tasks if task not in done and (pick == "incomplete" or task in states)]


def keep_log(log: Path) -> None:
    """Rename a log that does not say that its task ended well to `<log>.1`, `.2`, ...: attempts are kept."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 200))
            if b"# Ended (code 0)" in file.read(400):
                return
    except FileNotFoundError:
        return
    number = 1
    while Path(f"{log}.{number}").exists():
        number += 1
    log.rename(f"{log}.{number}")


def environment_of(request: Request, devices: list[str] | None = None) -> dict[str, str]:
    """The task's environment: a task without GPUs sees none, and one with GPUs those that were found for it."""
    environment = dict(os.environ)
    if request.options.get("gpu") == "0":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    elif devices is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    return environment


def run_task(
    request: Request,
    task: int,
    attempt: int = 1,
    environment: Mapping[str, str] | None = None,
    started: Callable[[subprocess.Popen], None] = lambda process: None,
) -> State:
    """Run a task; its output goes to its log, between Kaldi's header and footer, and its state to its file.

    Raises
    ------
    OSError
        If the log or the state cannot be written; the message names it.
    """
    log, command = request.log_of(task), request.command_of(task)
    has_operators = any(OPERATORS.fullmatch(word) for word in command)
    words = ["bash", "-c", f"set -o pipefail; {shell_line(command)}"] if has_operators else command
    state = State(task=task, status="running", attempt=attempt, host=socket.gethostname(), digest=digest(request, task))
    request.folder.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    write_state(request, state)
    keep_log(log)
    start = time.time()
    try:
        with log.open("w", encoding="utf-8", errors="surrogateescape") as out:
            line = shell_line(command).replace("\n", "\n# ")
            out.write(f"# {line}\n# Running on {state.host}\n# Started at {time.ctime()}\n# \n")
            out.flush()
            status, peak_mib = _wait_for(words, out, environment, started)
            code, signum = (None, -status) if status < 0 else (status, None)
            ended = f"code {code}" if signum is None else f"code 0; signal {signum}"
            threads, elapsed = request.options.get("num_threads", 1), time.time() - start
            out.write(f"# Accounting: time={elapsed:.0f} threads={threads} peak_mib={peak_mib}\n")
            out.write(f"# Ended ({ended}) at {time.ctime()}, elapsed time {elapsed:.0f} seconds\n")
    except OSError as error:
        raise named(error, log) from error
    outcome = {"status": "failed" if status else "done", "code": code, "signal": signum, "peak_mib": peak_mib}
    state = State(**asdict(state) | outcome)
    write_state(request, state)
    return state


def _wait_for(
    words: list[str], out: object, environment: Mapping[str, str] | None, started: Callable[[subprocess.Popen], None]
) -> tuple[int, int]:
    """Exit code (minus the signal's number, if that ended it) and peak memory in MiB."""
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        out.write(f"{words[0]}: {error.strerror}\n")
        return 127, 0
    started(process)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss // 1024


def run_all(name: str, request: Request, run_round: Callable[[list[int], int, dict[int, State]], dict]) -> NoReturn:
    """Run the picked tasks, those that failed again as often as --num-tries allows, and exit with 0 if all ended well.

    A task that the cluster ended (its node failed, it was preempted) has UNLUCKY_TRIES attempts more.

    Parameters
    ----------
    name : str
        Of the program, for messages.
    request : Request
    run_round : callable
        From (tasks, attempt, states of the attempt before) to the tasks' states.
    """
    todo, states = picked(request), {}
    if len(todo) < len(request.tasks):
        say(name, f"--pick {request.options['pick']}: {len(todo)} of {len(request.tasks)} tasks")
    num_picked = len(todo)
    for task in todo:  # what an earlier run left must not be taken for this one's
        state_file(request, task).unlink(missing_ok=True)

    def tries(task: int) -> int:
        return request.num_tries + (UNLUCKY_TRIES if task in states and states[task].unlucky else 0)

    def status(task: int) -> str:
        state = read_state(request, task)
        return state.status if state else ""

    attempt = 1
    with progress(request, status):
        while todo:
            if attempt > 1:
                most = max(map(tries, todo))
                say(name, f"attempt {attempt} of {most}: {len(todo)} of {num_picked} jobs again ({states[todo[0]]})")
            states |= run_round(todo, attempt, states)
            todo = [task for task in todo if states[task].retriable and attempt < tries(task)]
            attempt += 1
    failed = [state for state in states.values() if state.status != "done"]
    if failed:
        report(name, request, failed, num_picked)
    sys.exit(1 if failed else 0)


def report(name: str, request: Request, failed: list[State], num_tasks: int) -> None:
    """Say what failed and why, with the last lines of the first logs: one screen, however many they are."""
    for state in failed[:4]:
        log = request.log_of(state.task)
        tries = f", attempt {state.attempt}" if state.attempt > 1 else ""
        say(name, f"{log} failed ({state}{tries}); its last lines:")
        for line in last_lines(log):
            print(f"  {line}", file=sys.stderr)
    if len(failed) > 4:
        say(name, f"... and {len(failed) - 4} more: {ranges(state.task for state in failed[4:])}")
        say(name, f"all of them: utils/summarize_logs.py {request.folder}")
    say(name, f"{len(failed)} of {num_tasks} jobs failed, logs are in {request.log}")


def last_lines(log: Path, count: int = 10) -> list[str]:
    """The last lines that the command itself wrote."""
    if not log.exists():
        return ["(there is no log: the task did not start)"]
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = text.partition("\n# \n")[2].splitlines()
    return [line for line in lines if not re.match(r"# (Accounting|Ended)", line)][-count:]
