"""Runs in a folder: one that makes what is in it, or any number that read it; a dead run's lock is taken over.

`.lock` names the run that makes things in the folder, and says whether it is making one at this moment; until it ends, no
other run makes anything there. `.reading.<run>` names a run that goes by what is in the folder: several may, but not while
another run is making something. What a killed run left running is ended before its lock goes.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

NAME, READING = ".lock", ".reading."
GRACE = 5.0  # seconds that a process has to end by itself: launchers take their jobs out of the queue
FRESH = 2.0  # seconds in which a lock that cannot be read may be one that is being written


class Busy(RuntimeError):
    """Another run is in the folder; the message says which, and what to do."""


def lock(folder: Path, run: str) -> bool:
    """Begin to make something in the folder: keep other runs out; says whether the lock is new, or was this run's already.

    Parameters
    ----------
    folder : Path
    run : str
        `<pid>.<its start time>.<random>`, as `identity` makes it; every process of a run has it in RUN_ID.

    Raises
    ------
    Busy
        If a run that lives, or one on another machine, makes or reads something there.
    """
    path = folder / NAME
    newly = take(path, holder_of(run, making=True))
    for other in folder.glob(f"{READING}*"):
        if other.name != f"{READING}{run}" and (who := living(other)):
            if newly:
                path.unlink()
            raise Busy(f"{other}: {who} reads this folder, and would be left without it; wait, or end it")
    if not newly:
        write(path, holder_of(run, making=True))
    return newly


def rest(folder: Path, run: str) -> None:
    """End making something, and let other runs read; they are kept from making until `unlock`."""
    if held_by(folder / NAME) == run:
        write(folder / NAME, holder_of(run, making=False))


def share(folder: Path, run: str) -> None:
    """Read in the folder until `unlock`: no other run may make anything there meanwhile.

    A folder that this run may not write to is left as it is.

    Raises
    ------
    Busy
        If another run is making something there.
    """
    mine, path = folder / f"{READING}{run}", folder / NAME
    try:
        write(mine, holder_of(run, making=False))
    except OSError:
        return
    who = living(path)
    if who and held_by(path) != run and read(path).get("making"):
        mine.unlink()
        raise Busy(f"{path}: {who} is making what is in this folder; wait, or end it")


def release(folder: Path, run: str) -> None:
    """Let other runs make things in the folder, as soon as this one does not read there."""
    if held_by(folder / NAME) == run:
        (folder / NAME).unlink()


def unlock(folder: Path, run: str) -> None:
    """Let other runs in, as far as this run kept them out."""
    with suppress(OSError):  # a folder that is only read
        (folder / f"{READING}{run}").unlink(missing_ok=True)
    release(folder, run)


def holder_of(run: str, *, making: bool) -> dict[str, Any]:
    """Content of a lock."""
    host, since = socket.gethostname(), time.strftime("%F %T")
    return {"run": run, "host": host, "pid": int(run.split(".")[0]), "since": since, "making": making}


def take(path: Path, holder: dict[str, Any]) -> bool:
    """Write a lock, unless it is held; False if the same run holds it, Busy if another does."""
    while True:
        try:
            create(path, holder)
        except FileExistsError:
            if held_by(path) == holder["run"]:
                return False
            if who := living(path):
                raise Busy(f"{path}: {who} is in this folder; wait, or end it") from None
            continue
        return True


def write(path: Path, holder: dict[str, Any]) -> None:
    """Write a lock of this run's, whole."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    create(aside, holder)
    aside.replace(path)


def create(path: Path, holder: dict[str, Any]) -> None:
    """Write a file that is not there yet, and is not if it cannot be written; raises FileExistsError if it is there."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "w") as file:
        try:
            json.dump(holder, file)
            file.flush()
        except OSError as error:
            path.unlink()
            raise OSError(error.errno, f"could not write: {error.strerror}", str(path)) from error


def read(path: Path) -> dict[str, Any]:
    """Content of a lock; empty if it is gone or breaks off.

    Raises
    ------
    Busy
        If it is something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        holder = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return {}
    if isinstance(holder, dict) and all(isinstance(holder.get(key), str) for key in ("run", "host")):
        return holder
    raise Busy(f"{path}: not a lock of ours ({text[:40].strip()!r}); if no run is in this folder, remove that file")


def held_by(path: Path) -> str:
    """Name of the run that holds a lock; empty if none, or one that was killed while it wrote its name."""
    return read(path).get("run", "")


def living(path: Path) -> str:
    """Words for the run that holds a lock, if it lives; else remove the lock, and end what its run left running.

    Raises
    ------
    Busy
        If the run is on another machine.
    """
    holder = read(path)
    if not holder:  # being written just now, or by a run that was killed in that moment, or gone
        with suppress(FileNotFoundError):
            if abs(time.time() - path.lstat().st_mtime) < FRESH:
                time.sleep(0.1)
            else:
                path.unlink()
        return ""
    since = f"since {holder.get('since', 'some time')}"
    if holder["host"] != socket.gethostname():
        raise Busy(
            f"{path}: a run on {holder['host']} (process {holder.get('pid')}) is in this folder {since}; "
            f"if it is dead, remove that file"
        )
    if lives(holder["run"]):
        return f"another run (process {holder.get('pid')}), {since},"
    aside = path.with_name(f"{path.name}.dead.{os.getpid()}")
    with suppress(FileNotFoundError):  # another run may take over at the same moment: one of us gets it
        path.rename(aside)
        aside.unlink()
        print(f"{path}: its run was killed; going on", file=sys.stderr)
        end_processes(holder["run"])
    return ""


def identity(pid: int) -> str:
    """`<pid>.<start time>` of a process: no two ever share it."""
    return f"{pid}.{stat_of(pid)[19]}"


def stat_of(pid: int) -> list[str]:
    """Fields of /proc/PID/stat behind the name: state, parent, and so on; raises OSError if the process is gone."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def lives(run: str) -> bool:
    """True if the process that the run's name tells is still there; a process id may have been given anew."""
    try:
        pid = int(run.split(".")[0])
        return run.startswith(f"{identity(pid)}.") and stat_of(pid)[0] != "Z"
    except (OSError, ValueError):
        return False


def processes(run: str) -> list[int]:
    """Processes of a run on this machine: those that have its name in RUN_ID."""
    wanted, found = f"RUN_ID={run}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0") and stat_of(int(folder.name))[0] != "Z":
                found.append(int(folder.name))
    return found


def ancestors(pid: int) -> set[int]:
    """A process and those that it descends from."""
    found = set()
    with suppress(OSError):
        while pid > 1:
            found.add(pid)
            pid = int(stat_of(pid)[1])
    return found


def end_processes(run: str, spared: Iterable[int] = ()) -> None:
    """End what a run has running, and wait until it is gone: it would write into the same files.

    Launchers get a moment to take their jobs out of a queue; what stays, a stopped process say, is killed.
    """
    spared, asked, deadline = {os.getpid(), *spared}, set(), time.monotonic() + GRACE
    while left := set(processes(run)) - spared:
        kill = time.monotonic() > deadline
        for pid in left if kill else left - asked:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
                os.kill(pid, signal.SIGCONT)
        asked |= left
        if time.monotonic() > deadline + 30:  # in the middle of a read from a dead server, say
            return
        time.sleep(0.02)
