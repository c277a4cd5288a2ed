"""Arrays of slurm.py and sge.py: submitted, watched, and submitted again in part."""

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, Protocol

from job_array import State, digest, one_line_of_errors, read_state, run_all, store, write_state, write_whole
from job_conf import UTILS, Conf, find_conf, read_conf, translate
from job_request import Request, UsageError, check_options, exit_on_usage_error, parse, raised, ranges, say, shell_line

KNOWN_ENDS = re.compile(r"out of memory|\((?:Slurm|Grid Engine): ")
# Nodes that are known dead only later: the next attempt would meet them again.
BAD_NODE = re.compile(r"(?:node failed|launch|configured).* on ([\w.-]+)", re.I)
NETWORK_FILE_SYSTEMS = ("nfs", "lustre", "gpfs", "ceph", "afs", "fuseblk", "beegfs")


class SubmitError(RuntimeError):
    """The scheduler refuses a job; the message is its own."""


class Scheduler(Protocol):
    """Interface of a scheduler; `index` is the number of a task within its array."""

    name: str
    index_variable: str
    sets_devices: bool  # whether a task finds CUDA_VISIBLE_DEVICES set to the GPUs that it got
    ends: dict[
        tuple[str, int], str
    ]  # words on indices of jobs that `active` saw ended from outside: they write no more

    def largest_index(self) -> int:
        """The largest index that an array may have."""

    def array_options(self, job_name: str, size: int, at_once: int | None, output: Path) -> list[str]:
        """Options of an array with indices 1 to `size`."""

    def submit(self, command: list[str]) -> str:
        """Run the submit command and return the job's id; raises SubmitError."""

    def active(self, job: str) -> dict[int, str] | None:
        """States of the indices that wait or run; None if the scheduler does not answer."""

    def explain(self, job: str, index: int) -> str:
        """Reason why an index ended, as far as the scheduler says."""

    def avoid(self, nodes: list[str]) -> list[str]:
        """Options that keep a job off these nodes."""

    def cancel(self, job: str) -> None:
        """Remove the job."""


@dataclass(kw_only=True)
class Job:
    """A submitted array: index to task, and the states that the scheduler last told."""

    id: str
    tasks: dict[int, int]
    output: Path


def job_script(request: Request, scheduler: Scheduler, tasks: list[int], attempt: int) -> str:
    """The script of an array over `tasks`; indices are the tasks themselves where they run from 1."""
    command = [sys.executable, str(UTILS / "job_task.py"), str(request.folder)]
    index = f"${{{scheduler.index_variable}}}"
    lines = ["#!/usr/bin/env bash", f"# {request.name}: {shell_line(request.command)}".replace("\n", " ")]
    if len(tasks) == 1:
        task = str(tasks[0])
    elif tasks == list(range(1, len(tasks) + 1)):
        task = f'"{index}"'
    else:
        lines.append(f"tasks=({' '.join(map(str, tasks))})")
        task = f'"${{tasks[{scheduler.index_variable} - 1]}}"'
    return "\n".join([*lines, f"exec {shlex.join(command)} {task} {attempt}", ""])


def clean_environment(name: str) -> None:
    """Forget the job that we may be in ourselves: its variables would be taken for options of what we submit.

    Outside a job they are the user's own, and stay; but for those that would make one job an array, or hold up the submit
    command. Formats of the programs that we ask are ours in any case.
    """
    ignored = [each for each in ("SBATCH_ARRAY_INX", "SBATCH_WAIT", "SBATCH_TEST_ONLY") if each in os.environ]
    if job := os.environ.get("SLURM_JOB_ID"):
        of_jobs = [each for each in os.environ if each.startswith(("SLURM_", "SBATCH_", "SALLOC_", "SRUN_"))]
        ignored = [each for each in of_jobs if each != "SLURM_CONF"]
        shown = [each for each in ignored if not each.startswith("SLURM_")]
        also = f", and {', '.join(sorted(shown))}," if shown else ""
        say(name, f"inside job {job}: its SLURM_* variables{also} are ignored; conf/slurm.conf is for what jobs share")
    elif ignored:
        say(name, f"{', '.join(ignored)}: ignored, jobs of this program are submitted and waited for in its own way")
    for each in [*ignored, *(each for each in os.environ if each.startswith(("SQUEUE_", "SACCT_")))]:
        del os.environ[each]


class Array:
    """The array of a request on a scheduler: submits, watches, cancels.

    Parameters
    ----------
    request : Request
    scheduler : Scheduler
    conf : Conf
    """

    def __init__(self, request: Request, scheduler: Scheduler, conf: Conf) -> None:
        self.request, self.scheduler, self.conf = request, scheduler, conf
        self.jobs: list[Job] = []
        self.stopped_by = 0
        self.poll_seconds = 0.2
        self.grace_seconds = 30.0 if on_network(request.folder) else 3.0

    @property
    def record(self) -> Path:
        """File that names the jobs that we submitted and have not seen end."""
        return self.request.folder / "jobs.json"

    def prepare(self) -> None:
        """Make the folder, cancel what a killed submitter left in the queue, and store the request for the tasks."""
        self.request.folder.mkdir(parents=True, exist_ok=True)
        for job in self.left_jobs():
            if self.scheduler.active(job):
                about = f"cancelling job {job} of an earlier, killed submission of {self.request.log}"
                say(self.scheduler.name, about)
                self.scheduler.cancel(job)
                while self.scheduler.active(job):
                    time.sleep(0.5)
        store(self.request, self.scheduler.sets_devices)

    def left_jobs(self) -> list[str]:
        """Jobs that a killed submitter recorded; none if its record cannot be read, which is said."""
        try:
            jobs = json.loads(self.record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (ValueError, RecursionError):
            jobs = None
        if isinstance(jobs, list) and all(isinstance(job, str) for job in jobs):
            return jobs
        say(self.scheduler.name, f"{self.record} is no list of jobs: if earlier ones still run, cancel them yourself")
        return []

    def run_round(self, tasks: list[int], attempt: int, before: dict[int, State]) -> dict[int, State]:
        """Submit tasks and wait for all of them; those that ran out of memory get twice what they had."""
        starved = {task for task in tasks if task in before and before[task].out_of_memory}
        factor = 2 ** (attempt - 1)
        bad = {match[1] for task in tasks if task in before and (match := BAD_NODE.search(before[task].reason))}
        avoid = self.scheduler.avoid(sorted(bad)) if bad else []
        for group, memory_factor in ((sorted(set(tasks) - starved), 1), (sorted(starved), factor)):
            size = self.scheduler.largest_index()
            for at in range(0, len(group), size):
                self.submit(group[at : at + size], attempt, memory_factor, -(-len(group) // size), avoid)
        states = self.wait(tasks, attempt)
        self.jobs = []
        self.record.unlink(missing_ok=True)
        return states

    def submit(self, tasks: list[int], attempt: int, memory_factor: int, num_parts: int, avoid: list[str]) -> None:
        """Submit one array; raises SystemExit with the scheduler's own words if it is refused."""
        request, folder = self.request, self.request.folder
        options = self.conf.defaults | request.options
        if memory_factor > 1 and "mem" in options:
            options["mem"] = raised(options["mem"], memory_factor)
            say(self.scheduler.name, f"{ranges(tasks)} ran out of memory: now with --mem {options['mem']}")
        at_once = options.get("max_jobs_run")
        at_once = max(1, int(at_once) // num_parts) if at_once else None
        script = folder / f"{self.scheduler.name.removesuffix('.py')}.{attempt}.{tasks[0]}.sh"
        output = script.with_suffix(".out")
        output.unlink(missing_ok=True)
        write_whole(script, job_script(request, self.scheduler, tasks, attempt))
        array = self.scheduler.array_options(request.name, len(tasks), at_once, output)
        command = [*self.conf.command, *array, *translate(self.conf, options), *request.passed_on, str(script)]
        try:
            job = self.submit_avoiding(command, avoid)
        except SubmitError as error:
            self.cancel()
            say(self.scheduler.name, f"{shlex.join(command)}: {error}")
            sys.exit(1)
        self.jobs.append(Job(id=job, tasks=dict(enumerate(tasks, start=1)), output=output))
        write_whole(self.record, json.dumps([job.id for job in self.jobs]))

    def submit_avoiding(self, command: list[str], avoid: list[str]) -> str:
        """Submit, off the nodes that have just failed if there are others; raises SubmitError."""
        if avoid:
            try:
                return self.scheduler.submit([*command[:-1], *avoid, command[-1]])
            except SubmitError:
                say(self.scheduler.name, f"there are no other nodes: {shlex.join(avoid)} is dropped")
        return self.scheduler.submit(command)

    def wait(self, tasks: list[int], attempt: int) -> dict[int, State]:
        """Poll the state files and the scheduler until every task has ended, or is known to run no more."""
        waiting, states, gone_since = set(tasks), {}, {}
        next_query, interval, started = 0.0, 1.0, time.time()
        while waiting:
            if self.stopped_by:
                self.cancel()
                say(self.scheduler.name, f"interrupted; {self.request.log} was not finished, its jobs are cancelled")
                sys.exit(128 + self.stopped_by)
            for task in sorted(waiting):
                state = read_state(self.request, task)
                if state and state.ended and state.attempt == attempt:
                    states[task] = self.explained(state)
            waiting -= states.keys()
            if waiting and time.time() >= next_query:
                self.find_gone(waiting, gone_since)
                interval = min(10.0, max(1.0, (time.time() - started) / 30))
                next_query = time.time() + interval
            for task in [
                task for task in waiting if time.time() - gone_since.get(task, time.time()) > self.grace_seconds
            ]:
                waiting.discard(task)
                states[task] = self.lost(task, attempt)
            time.sleep(self.poll_seconds if waiting else 0)
        return states

    def find_gone(self, waiting: set[int], gone_since: dict[int, float]) -> None:
        """Note since when tasks neither wait nor run, as far as the scheduler knows: for ever, of one ended from outside."""
        for job in self.jobs:
            active = self.scheduler.active(job.id)
            if active is None:
                continue
            for index, task in job.tasks.items():
                if task in waiting and (job.id, index) in self.scheduler.ends:
                    gone_since[task] = -math.inf
                elif task in waiting and index not in active:
                    gone_since.setdefault(task, time.time())
                else:
                    gone_since.pop(task, None)

    def place_of(self, task: int) -> tuple[Job, int]:
        """Job and index of a task."""
        return next((job, index) for job in reversed(self.jobs) for index, own in job.tasks.items() if own == task)

    def explained(self, state: State) -> State:
        """Add the scheduler's word on a task that was ended from outside; it may take it a moment to know."""
        if state.status == "done" or state.signal not in (
            signal.SIGTERM,
            signal.SIGKILL,
            signal.SIGINT,
            signal.SIGUSR2,
        ):
            return state
        job, index = self.place_of(state.task)
        deadline = time.time() + self.grace_seconds
        while index in (self.scheduler.active(job.id) or ()) and time.time() < deadline:
            time.sleep(self.poll_seconds)
        reason = self.scheduler.explain(job.id, index)
        return replace(state, reason=reason) if KNOWN_ENDS.search(reason) else state

    def lost(self, task: int, attempt: int) -> State:
        """The state of a task that is gone and wrote none itself, up to this moment."""
        state = read_state(self.request, task)
        if state and state.ended and state.attempt == attempt:
            return self.explained(state)
        job, index = self.place_of(task)
        reason = self.scheduler.explain(job.id, index) or "lost: the scheduler knows it no more, and it left no state"
        if not KNOWN_ENDS.search(reason) and job.output.exists():
            reason = " | ".join([reason, *job.output.read_text(errors="replace").splitlines()[-3:]])
        lost = State(task=task, status="lost", attempt=attempt, digest=digest(self.request, task), reason=reason)
        write_state(self.request, lost)  # in its stead: progress and --pick go by the files
        return lost

    def cancel(self) -> None:
        """Remove what we submitted."""
        for job in self.jobs:
            self.scheduler.cancel(job.id)
        self.record.unlink(missing_ok=True)


def on_network(folder: Path) -> bool:
    """True for a folder on a file system where another machine's files may appear late."""
    while not folder.exists():
        folder = folder.parent
    return ask(["stat", "-f", "-c", "%T", str(folder)]).stdout.startswith(NETWORK_FILE_SYSTEMS)


def ask(command: list[str]) -> subprocess.CompletedProcess:
    """Run a program of the scheduler; in a session of its own, so that Ctrl-C does not cut it off half-way."""
    how = {"capture_output": True, "text": True, "encoding": "utf-8", "errors": "replace", "start_new_session": True}
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False, **how)
    except FileNotFoundError:
        missing = f"{command[0]} is not there; is this machine part of the cluster?"
    except OSError as error:
        missing = f"{command[0]}: {error.strerror}"
    return subprocess.CompletedProcess(command, 127, stdout="", stderr=missing)


def job_id(output: str, pattern: str) -> str:
    """Job's id in what a submit command prints: the last line that matches as a whole, as a site may wrap it in banners.

    Raises
    ------
    SubmitError
        If there is no such line.
    """
    lines = [line.strip() for line in output.splitlines()]
    for line in reversed(lines):
        if found := re.fullmatch(pattern, line, re.ASCII):
            return found[1]
    last = next((line for line in reversed(lines) if line), "nothing")
    raise SubmitError(f"no line of its output is a job id, so the job cannot be followed; it said: {last[:200]}")


def submit_patiently(command: list[str], unreachable: re.Pattern[str], pattern: str) -> str:
    """Call a submit command, for up to two minutes if the scheduler does not answer; returns the id that `pattern` finds.

    Raises
    ------
    SubmitError
        With the scheduler's words, or if there is no id in them.
    """
    for wait in (1, 2, 5, 10, 20, 40, 40, 0):
        done = ask(command)
        if done.returncode == 0:
            return job_id(done.stdout, pattern)
        words = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").replace("\n", "; ")
        if not unreachable.search(words):
            break
        time.sleep(wait)
    raise SubmitError(words)


def main(scheduler: Scheduler) -> NoReturn:
    """Run the program of a scheduler."""
    kind = scheduler.name.removesuffix(".py")
    try:
        request = parse(sys.argv[1:], pass_on=True)
        conf = read_conf(find_conf(request.options, kind))
        check_options(request.options, conf.names())
        translate(conf, conf.defaults | request.options)
    except UsageError as error:
        exit_on_usage_error(scheduler.name, error)
    request = replace(request, options=conf.defaults | request.options)
    clean_environment(scheduler.name)
    array = Array(request, scheduler, conf)

    def stop(signum: int, frame: object) -> None:
        array.stopped_by = signum

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, stop)
    with one_line_of_errors(scheduler.name):
        array.prepare()
        run_all(scheduler.name, request, array.run_round)
