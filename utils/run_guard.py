#!/usr/bin/env python3
"""Run a recipe so that it ends as a whole; utils/stage.sh puts every recipe under this.

    utils/run_guard.py bash ./run.sh --stage 3

However a run ends, by itself or by a signal to any of its processes, all that it started is ended before its locks go: else
what stays would write into the next run's files. The guard is the process that the user sees; a watcher beside it does the
same should the guard itself be killed.
"""

import os
import random
import select
import signal
import subprocess
import sys
import threading

from run_lock import end_processes, identity

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def start_watcher(run: str) -> int:
    """Start a process that ends the run's processes when this one dies; returns what tells it, once closed."""
    death, alive = os.pipe()
    if os.fork():
        os.close(death)
        return alive
    os.setsid()  # a signal to the group is not for it
    os.close(alive)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # who reads the recipe's output does not wait for the watcher
        os.dup2(null, stream)
    if os.read(death, 1) == b"":
        end_processes(run)
    os._exit(0)


def main() -> None:
    run = f"{identity(os.getpid())}.{random.randrange(10**6)}"
    alive = start_watcher(run)
    came, caught = os.pipe()
    for signum in SIGNALS:
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # ignored: nohup
            signal.signal(signum, lambda signum, _: os.write(caught, bytes([signum])))
    recipe = subprocess.Popen(sys.argv[1:], env=os.environ | {"RUN_ID": run, "RUN_GUARD": str(os.getpid())})
    ended = os.pidfd_open(recipe.pid)
    ready, _, _ = select.select([came, ended], [], [])
    if came not in ready:
        end_processes(run)
        os.write(alive, b".")
        code = recipe.wait()
        sys.exit(code if code >= 0 else 128 - code)
    signum = os.read(came, 1)[0]
    stop(recipe, run)
    os.write(alive, b".")
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)


def stop(recipe: subprocess.Popen, run: str) -> None:
    """End the recipe's processes, and then the recipe, which removes its locks."""
    recipe.send_signal(signal.SIGSTOP)  # or it would begin the next thing
    end_processes(run, spared=[recipe.pid])
    recipe.send_signal(signal.SIGTERM)
    recipe.send_signal(signal.SIGCONT)
    killer = threading.Timer(10.0, recipe.kill)
    killer.start()
    recipe.wait()
    killer.cancel()
    end_processes(run)


if __name__ == "__main__":
    main()
