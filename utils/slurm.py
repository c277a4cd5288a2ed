#!/usr/bin/env python3
"""Run a command, or an array of them, on a Slurm cluster, with Kaldi's slurm.pl command line and log format.

    utils/slurm.py [--mem 4G] [--gpu 1] [--num-threads 2] [--num-nodes 2] [--time 4:00:00] [--max-jobs-run 10] [--num-tries 3] \\
        [--pick all|failed|incomplete] [--config conf/slurm.conf] [JOB=1:8] exp/log/x.JOB.log command JOB

Arguments are as in utils/run.py; `-x value` is passed on to sbatch. conf/slurm.conf says what the options are to sbatch.
Whether a task ended well is what it wrote itself, never what Slurm says; Slurm is asked whether it still runs. Only failed
tasks are tried again, with twice the memory if that ran out. INT, TERM and HUP cancel what was submitted.
"""

import re
from pathlib import Path

from job_queue import ask, main, submit_patiently

ACTIVE = {
    "PENDING",
    "RUNNING",
    "SUSPENDED",
    "CONFIGURING",
    "COMPLETING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
    "PREEMPTED",
}
UNREACHABLE = re.compile(r"unable to contact slurm controller|socket timed out|connection refused|zero bytes", re.I)
EXPLANATIONS = {
    "TIMEOUT": "over its time limit (Slurm: TIMEOUT); --time gives it more",
    "DEADLINE": "over its time limit (Slurm: DEADLINE)",
    "OUT_OF_MEMORY": "out of memory (Slurm: OUT_OF_MEMORY)",
    "NODE_FAIL": "its node failed (Slurm: NODE_FAIL)",
    "BOOT_FAIL": "its node failed to boot (Slurm: BOOT_FAIL)",
    "CANCELLED": "cancelled by somebody else (Slurm: CANCELLED)",
    "COMPLETED": "Slurm says COMPLETED, but it left no state: is its folder shared with the node?",
}


class Slurm:
    """Slurm's programs."""

    name = "slurm.py"
    index_variable = "SLURM_ARRAY_TASK_ID"
    sets_devices = True

    def largest_index(self) -> int:
        """MaxArraySize less one; 1000 where it cannot be asked."""
        found = re.search(r"MaxArraySize\s*=\s*(\d+)", ask(["scontrol", "show", "config"]).stdout)
        return int(found[1]) - 1 if found else 1000

    def array_options(self, job_name: str, size: int, at_once: int | None, output: Path) -> list[str]:
        """Options of sbatch for an array with indices 1 to `size`, or for a single job."""
        array = [f"--array=1-{size}" + (f"%{at_once}" if at_once else "")] if size > 1 else []
        return ["--parsable", f"--job-name={job_name}", f"--output={output}", "--open-mode=append", *array]

    def submit(self, command: list[str]) -> str:
        """Call sbatch; raises SubmitError."""
        return submit_patiently(command, UNREACHABLE).strip().partition(";")[0]

    def active(self, job: str) -> dict[int, str] | None:
        """States of what waits or runs; None if the controller does not answer."""
        done = ask(["squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%K %T"])
        if done.returncode and "Invalid job id" not in done.stderr:
            return None
        lines = [line.split() for line in done.stdout.splitlines()]
        return {int(index) if index.isdigit() else 1: state for index, state in lines if state in ACTIVE}

    def explain(self, job: str, index: int) -> str:
        """The state that Slurm gives a task at its end, in words."""
        records = ask(["scontrol", "--oneliner", "show", "job", job]).stdout.splitlines()
        for record in records:
            fields = dict(word.partition("=")[::2] for word in record.split() if "=" in word)
            if fields.get("ArrayTaskId", "1") != str(index):
                continue
            state = fields.get("JobState", "")
            if fields.get("ExitCode", "").endswith(":9") and state == "FAILED":
                return "killed (signal 9), most likely out of memory"
            node = f" on {fields['BatchHost']}" if "BatchHost" in fields else ""
            return EXPLANATIONS.get(state, f"Slurm: {state}, {fields.get('Reason', '')}") + node
        return ""

    def avoid(self, nodes: list[str]) -> list[str]:
        """Option of sbatch."""
        return [f"--exclude={','.join(nodes)}"]

    def cancel(self, job: str) -> None:
        """Call scancel."""
        ask(["scancel", job])


if __name__ == "__main__":
    main(Slurm())
