"""One run in a folder at a time; the lock of a run that was killed is seen to be dead, and what it left running is ended."""

import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

NAME = ".lock"


class Busy(RuntimeError):
    """Another run is in the folder; the message says which, and what to do."""


def lock(folder: Path, run: str) -> bool:
    """Keep other runs out of the folder; says whether the lock is new, or was this run's already.

    Parameters
    ----------
    folder : Path
    run : str
        `<pid>.<its start time>.<random>`, as `identity` makes it; every process of a run has it in RUN_ID.

    Raises
    ------
    Busy
        If a run that lives, or one on another machine, holds the lock.
    """
    path = folder / NAME
    holder = {"run": run, "host": socket.gethostname(), "pid": int(run.split(".")[0]), "since": time.strftime("%F %T")}
    while True:
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            if held_by(path) == run:
                return False
            take_over(path)
            continue
        with os.fdopen(handle, "w") as file:
            json.dump(holder, file)
        return True


def unlock(folder: Path, run: str) -> None:
    """Let other runs in, if the lock is this run's."""
    if held_by(folder / NAME) == run:
        (folder / NAME).unlink()


def held_by(path: Path) -> str:
    """Name of the run that holds a lock; empty if none, or one that was killed while it wrote its name."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["run"]
    except (OSError, ValueError, KeyError):
        return ""


def take_over(path: Path) -> None:
    """Remove a dead run's lock and end what it left running; raises Busy if the run lives."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:  # being written just now, or by a run that was killed in that moment
        if time.time() - path.stat().st_mtime < 2:
            time.sleep(0.1)
            return
        holder = {"host": socket.gethostname(), "run": ""}
    if holder["host"] != socket.gethostname():
        raise Busy(
            f"{path}: a run on {holder['host']} (process {holder['pid']}) is in this folder since {holder['since']}; "
            f"if it is dead, remove that file"
        )
    if holder["run"] and lives(holder["run"]):
        raise Busy(
            f"{path}: another run (process {holder['pid']}) is in this folder since {holder['since']}; wait, or end it"
        )
    aside = path.with_name(f"{NAME}.dead.{os.getpid()}")
    with suppress(FileNotFoundError):  # another run may take over at the same moment: one of us gets it
        path.rename(aside)
        aside.unlink()
        if holder["run"]:
            print(f"{path}: its run was killed; going on", file=sys.stderr)
            end_processes(holder["run"])


def identity(pid: int) -> str:
    """`<pid>.<start time>` of a process: no two ever share it."""
    return f"{pid}.{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"


def lives(run: str) -> bool:
    """True if the process that the run's name tells is still there; a process id may have been given anew."""
    pid = int(run.split(".")[0])
    try:
        return run.startswith(f"{identity(pid)}.")
    except OSError:
        return False


def processes(run: str) -> list[int]:
    """Processes of a run on this machine: those that have its name in RUN_ID."""
    wanted, found = f"RUN_ID={run}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def end_processes(run: str) -> None:
    """Kill what a dead run left, and wait until it is gone: it would write into the same files."""
    deadline = time.time() + 30
    while (left := [pid for pid in processes(run) if pid != os.getpid()]) and time.time() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
