#!/usr/bin/env python3
"""Run one task of an array, on the machine where a scheduler put it; called by the scripts that slurm.py and sge.py write.

utils/job_task.py FOLDER TASK ATTEMPT        FOLDER holds request.json
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from job_array import State, environment_of, one_line_of_errors, run_task, write_state
from job_request import Request


def claim_devices(count: int) -> list[str] | None:
    """GPUs that no other task of ours on this machine holds, kept until this process ends; for schedulers that only count.

    Raises
    ------
    OSError
        If there are fewer free ones than that.
    """
    if "CUDA_VISIBLE_DEVICES" in os.environ or count == 0:
        return None
    listing = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False).stdout
    claimed: list[str] = []
    folder = Path(f"/tmp/gpus-of-{os.getuid()}")  # not TMPDIR, which may be each job's own
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise OSError(f"{socket.gethostname()}: {folder} is not ours: somebody else made it; remove it")
    for device in range(len(listing.splitlines())):
        handle = os.open(folder / str(device), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        claimed.append(str(device))
        if len(claimed) == count:
            return claimed
    raise OSError(f"{socket.gethostname()}: {count} GPUs wanted, {len(claimed)} are free")


def main() -> None:
    folder, task, attempt = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    stored = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    os.chdir(stored.pop("cwd"))
    by_scheduler = stored.pop("scheduler_sets_devices")
    request = Request(**stored)
    try:
        devices = None if by_scheduler else claim_devices(int(request.options.get("gpu", 0)))
    except OSError as error:
        write_state(request, State(task=task, status="failed", attempt=attempt, reason=str(error)))
        sys.exit(1)

    def pass_signals_on(process: subprocess.Popen) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            signal.signal(signum, lambda *_: os.killpg(process.pid, signal.SIGTERM))

    environment = environment_of(request, devices) | {"JOB_FOLDER": str(folder)}
    with one_line_of_errors("job_task.py"):
        state = run_task(request, task, attempt, environment, pass_signals_on)
    sys.exit(state.status != "done")  # 0 or 1: Grid Engine takes 99 and 100 for wishes


if __name__ == "__main__":
    main()
