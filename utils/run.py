#!/usr/bin/env python3
"""Run a command, or an array of them, on this machine, with Kaldi's run.pl command line and log format.

    utils/run.py [--max-jobs-run N] [JOB=1:8] exp/log/x.JOB.log command with JOB arguments

JOB (any upper-case name) is replaced by the job's number in the log's name and in every argument. Exits 0 only if every
job did; else names each failed log and prints its last lines. --mem, --gpu, --num-threads and --time are for the queue
versions of this command, and ignored here.
"""

import os
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OPTIONS_OF_QUEUES = ("--mem", "--gpu", "--num-threads", "--time", "--pick")
running: set[subprocess.Popen] = set()
stopping = threading.Event()


def usage_error(message: str) -> None:
    print(f"run.py: {message}\n{__doc__.split(chr(10) * 2)[1].strip()}", file=sys.stderr)
    sys.exit(2)


def parse(arguments: list[str]) -> tuple[int, str, range, str, list[str]]:
    """Split the command line into (jobs at once, array name, job numbers, log, command)."""
    at_once, name, jobs = 0, "", range(1, 2)
    while arguments and (arguments[0].startswith("--") or re.fullmatch(r"[A-Z]+=\d+(:\d+)?", arguments[0])):
        word = arguments.pop(0)
        option, _, value = word.partition("=")
        if not word.startswith("--"):
            first, _, last = value.partition(":")
            name, jobs = option, range(int(first), int(last or first) + 1)
            if not jobs:
                usage_error(f"{word}: the last job comes before the first")
            continue
        if not value and not arguments:
            usage_error(f"{option} needs a value")
        value = value or arguments.pop(0)
        if option == "--max-jobs-run":
            at_once = int(value)
        elif option not in OPTIONS_OF_QUEUES:
            usage_error(f"unknown option {option}")
    if len(arguments) < 2:
        usage_error("a log file and a command are needed")
    if name and name not in arguments[0]:
        usage_error(f"the log's name must hold {name}, or the jobs would write to one file: {arguments[0]}")
    return at_once or len(jobs), name, jobs, arguments[0], arguments[1:]


def run_job(log: Path, command: list[str]) -> int:
    """Run one command; its output, wrapped in Kaldi's header and footer, goes to `log`."""
    if stopping.is_set():
        return 130
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.time()
    with log.open("w", encoding="utf-8") as out:
        out.write(f"# {shlex.join(command)}\n# Running on {socket.gethostname()}\n# Started at {time.ctime()}\n# \n")
        out.flush()
        try:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as error:
            out.write(f"{command[0]}: {error.strerror}\n")
            code, peak_mib = 127, 0
        else:
            running.add(process)
            _, status, usage = os.wait4(process.pid, 0)
            running.discard(process)
            code = process.returncode = os.waitstatus_to_exitcode(status)
            peak_mib = usage.ru_maxrss // 1024
        out.write(f"# Accounting: time={time.time() - start:.0f} threads=1 peak_mib={peak_mib}\n")
        out.write(f"# Ended (code {code}) at {time.ctime()}, elapsed time {time.time() - start:.0f} seconds\n")
    return code


def stop(signum: int, frame: object) -> None:
    """Kill what runs, with its children, and start nothing more."""
    stopping.set()
    for process in list(running):
        os.killpg(process.pid, signal.SIGTERM)


def report_failures(codes: dict[Path, int]) -> None:
    failed = {log: code for log, code in codes.items() if code}
    for log, code in failed.items():
        print(f"run.py: {log} failed (code {code}); its last lines:", file=sys.stderr)
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:-2] if log.exists() else []:
            print(f"  {line}", file=sys.stderr)
    print(f"run.py: {len(failed)} of {len(codes)} jobs failed", file=sys.stderr)


def main() -> None:
    at_once, name, jobs, log, command = parse(sys.argv[1:])
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)

    def numbered(job: int) -> tuple[Path, list[str]]:
        fill = (lambda text: text.replace(name, str(job))) if name else str
        return Path(fill(log)), [fill(word) for word in command]

    with ThreadPoolExecutor(at_once) as pool:
        futures = {path: pool.submit(run_job, path, words) for path, words in map(numbered, jobs)}
        # Waiting in slices lets the main thread see signals.
        while not all(future.done() for future in futures.values()):
            time.sleep(0.02)
        codes = {path: future.result() for path, future in futures.items()}
    if any(codes.values()):
        report_failures(codes)
        sys.exit(1)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
