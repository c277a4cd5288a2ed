#!/usr/bin/env python3
"""Run a command, or an array of them, on this machine, with Kaldi's run.pl command line and log format.

    utils/run.py [--max-jobs-run N] [--num-tries N] [--pick all|failed|incomplete] [JOB=1:8] exp/log/x.JOB.log command JOB

JOB (any name) is replaced by the task's number in the log's name and in every argument. Arguments reach the command as
they were typed, spaces and quotes included; only operators standing alone (`\\|`, `\\;`, `\\>`) act as in a shell.
Exits with 0 only if every task did; else names each failed log and prints its last lines. At most as many tasks run at
once as there are cores; with --gpu N, as many as there are GPUs for. --mem, --num-threads, --time, --num-nodes and
--config are for the queue versions of this command, and ignored here.
"""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from job_array import State, environment_of, one_line_of_errors, run_all, run_task, store
from job_request import Request, UsageError, check_options, exit_on_usage_error, parse, say

running: set[subprocess.Popen] = set()
stopping = threading.Event()


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    try:
        listing = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return []
    return [str(number) for number, line in enumerate(listing.splitlines()) if line.startswith("GPU")]


def gpu_shares(request: Request) -> list[list[str]]:
    """The GPUs of each task that may run at the same time; empty if none are asked for."""
    wanted = int(request.options.get("gpu", 0))
    if wanted == 0:
        return []
    gpus = visible_gpus()
    if len(gpus) < wanted:
        raise UsageError(
            f"--gpu {wanted}: there are {len(gpus)} GPUs here (nvidia-smi --list-gpus); --gpu 0 goes without"
        )
    return [gpus[at : at + wanted] for at in range(0, len(gpus) - wanted + 1, wanted)]


def stop(signum: int, frame: object) -> None:
    """Kill what runs, with its children, and start nothing more."""
    stopping.set()
    for process in list(running):
        os.killpg(process.pid, signal.SIGTERM)
    threading.Thread(target=kill_what_stays, daemon=True).start()


def kill_what_stays() -> None:
    time.sleep(3)
    for process in list(running):
        os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    try:
        request = parse(sys.argv[1:])
        check_options(request.options)
        shares = gpu_shares(request)
    except UsageError as error:
        exit_on_usage_error("run.py", error)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, stop)
    at_once = int(request.options.get("max_jobs_run", len(shares) or len(os.sched_getaffinity(0))))
    free: SimpleQueue[list[str] | None] = SimpleQueue()
    for share in shares or [None] * at_once:
        free.put(share)

    def run(task: int, attempt: int) -> State:
        if stopping.is_set():
            return State(task=task, status="lost", reason="cancelled")
        share, mine = free.get(), []

        def started(process: subprocess.Popen) -> None:
            mine.append(process)
            running.add(process)
            if stopping.is_set():
                os.killpg(process.pid, signal.SIGTERM)

        try:
            return run_task(request, task, attempt, environment_of(request, share), started)
        finally:
            running.difference_update(mine)
            free.put(share)

    def run_round(tasks: list[int], attempt: int, before: dict[int, State]) -> dict[int, State]:
        with ThreadPoolExecutor(min(at_once, max(1, len(tasks)))) as pool:
            futures = {task: pool.submit(run, task, attempt) for task in tasks}
            # Waiting in slices lets the main thread see signals.
            while not all(future.done() for future in futures.values()):
                time.sleep(0.02)
        if stopping.is_set():
            say("run.py", f"interrupted; {request.log} was not finished")
            sys.exit(130)
        return {task: future.result() for task, future in futures.items()}

    with one_line_of_errors("run.py"):
        store(request)
        run_all("run.py", request, run_round)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
