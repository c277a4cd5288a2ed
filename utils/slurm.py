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
    "EXPEDITING",
    "POWER_UP_NODE",
    "REQUEUED",
    "REQUEUE_FED",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
    "UPDATE_DB",
}
# States of a task that was ended, or stopped for good, from outside: it writes no state of its own any more.
ENDS = {
    "BOOT_FAIL": "its node failed to boot (Slurm: BOOT_FAIL)",
    "CANCELLED": "cancelled by somebody else (Slurm: CANCELLED)",
    "DEADLINE": "over its time limit (Slurm: DEADLINE)",
    "LAUNCH_FAILED": "could not be launched (Slurm: LAUNCH_FAILED)",
    "NODE_FAIL": "its node failed (Slurm: NODE_FAIL)",
    "OUT_OF_MEMORY": "out of memory (Slurm: OUT_OF_MEMORY)",
    "PREEMPTED": "preempted by another job (Slurm: PREEMPTED)",
    "RECONFIG_FAIL": "its node could not be configured (Slurm: RECONFIG_FAIL)",
    "REVOKED": "revoked, another cluster has it (Slurm: REVOKED)",
    "TIMEOUT": "over its time limit (Slurm: TIMEOUT); --time gives it more",
    # These wait for somebody to release them.
    "REQUEUE_HOLD": "requeued and held (Slurm: REQUEUE_HOLD)",
    "RESV_DEL_HOLD": "held, its reservation was deleted (Slurm: RESV_DEL_HOLD)",
    "SPECIAL_EXIT": "held by a rule of the cluster (Slurm: SPECIAL_EXIT)",
}
ENDED = {"COMPLETED", "FAILED"}  # it ended by itself, and has written how
KNOWN = [*ACTIVE, *ENDS, *ENDED]
NEVER = {  # reasons of PENDING that no waiting ends
    "DependencyNeverSatisfied": "cancelled, its dependency can never be met (Slurm: DependencyNeverSatisfied)",
    "launch_failed_requeued_held": "could not be launched (Slurm: launch_failed_requeued_held)",
    "job_requeued_in_held_state": "requeued and held (Slurm: job_requeued_in_held_state)",
}
UNREACHABLE = re.compile(r"unable to contact slurm controller|socket timed out|connection refused|zero bytes", re.I)


def state_of(text: str) -> str:
    """State in one of Slurm's notations: `CANCELLED by 123`, `CANCELLED+`, `OUT_OF_ME+` (cut off), `COMPLETING|NODE_FAIL`.

    Empty if it is none. Of several, the one that ends a task from outside counts most, then one in which it still runs.
    """
    found = []
    for word in re.split(r"[\s|,]+", text.strip().upper()):
        if word in KNOWN:
            found.append(word)
        elif word.endswith("+") and len(word) > 2:
            whole = word[:-1]
            found += [whole] if whole in KNOWN else [state for state in KNOWN if state.startswith(whole)][:1]
    ranked = sorted(found, key=lambda state: (state not in ENDS, state not in ACTIVE))
    return ranked[0] if ranked else ""


def place(job: str, index: int | None = None) -> list[str]:
    """Words that name a job, or a task of an array, to squeue, scontrol and scancel; `17;east` is a job of cluster east."""
    number, _, cluster = job.partition(";")
    return [*(["-M", cluster] if cluster else []), number if index is None else f"{number}_{index}"]


class Slurm:
    """Slurm's programs."""

    name = "slurm.py"
    index_variable = "SLURM_ARRAY_TASK_ID"
    sets_devices = True

    def __init__(self) -> None:
        self.ends: dict[tuple[str, int], str] = {}

    def largest_index(self) -> int:
        """MaxArraySize less one; 1000 where it cannot be asked."""
        found = re.search(r"MaxArraySize\s*=\s*(\d+)", ask(["scontrol", "show", "config"]).stdout)
        return max(1, int(found[1]) - 1) if found else 1000

    def array_options(self, job_name: str, size: int, at_once: int | None, output: Path) -> list[str]:
        """Options of sbatch for an array with indices 1 to `size`, or for a single job."""
        array = [f"--array=1-{size}" + (f"%{at_once}" if at_once else "")] if size > 1 else []
        return ["--parsable", f"--job-name={job_name}", f"--output={output}", "--open-mode=append", *array]

    def submit(self, command: list[str]) -> str:
        """Call sbatch; raises SubmitError."""
        return submit_patiently(command, UNREACHABLE, r"(\d+(?:;[\w.-]+)?)")

    def active(self, job: str) -> dict[int, str] | None:
        """States of what waits or runs; None if the controller does not answer. Notes in `ends` what was ended or held."""
        *cluster, number = place(job)
        done = ask(["squeue", *cluster, "-h", "-r", "-t", "all", "-j", number, "-o", "%K %T %r"])
        if done.returncode and "Invalid job id" not in done.stderr:
            return None
        states = {}
        for line in done.stdout.splitlines():
            found = re.fullmatch(r"\s*(\d+|N/A)\s+([A-Z_|,+]+)((?:\s.*)?)", line, re.ASCII)
            if not found:
                continue  # a site's own squeue may print more
            index, state, reason = int(found[1]) if found[1].isdigit() else 1, state_of(found[2]), found[3].strip()
            end = NEVER.get(reason) if state == "PENDING" else ENDS.get(state)
            if end and (job, index) not in self.ends:
                self.ends[job, index] = end
                ask(
                    ["scancel", *(place(job, index) if found[1].isdigit() else place(job))]
                )  # it may be held, or requeued
            elif not end and state not in ENDED:  # a state that we do not know may be one in which it runs
                states[index] = state or found[2]
        return states

    def explain(self, job: str, index: int) -> str:
        """The state that Slurm gives a task at its end, in words."""
        *cluster, number = place(job)
        records = ask(["scontrol", *cluster, "--oneliner", "show", "job", number]).stdout.splitlines()
        for record in records:
            fields = dict(word.partition("=")[::2] for word in record.split() if "=" in word)
            if fields.get("ArrayTaskId", "1") == str(index) and "JobState" in fields:
                return self.in_words(job, index, fields, fields.get("BatchHost", ""))
        return self.from_accounting(job, index) or self.ends.get((job, index), "")

    def from_accounting(self, job: str, index: int) -> str:
        """The end of a task that the controller has forgotten; empty where there is no accounting."""
        *cluster, number = place(job)
        fields = ["JobID", "State", "ExitCode", "NodeList"]
        done = ask(["sacct", *cluster, "-n", "-P", "-X", "-j", number, "-o", ",".join(fields)])
        for line in done.stdout.splitlines():
            words = line.strip().split("|")
            if len(words) == len(fields) and words[0] in (number, f"{number}_{index}") and state_of(words[1]):
                return self.in_words(job, index, {"JobState": words[1], "ExitCode": words[2]}, words[3])
        return ""

    def in_words(self, job: str, index: int, fields: dict[str, str], node: str) -> str:
        """Words on a task's record; what `active` saw counts for more, as we cancel what is held."""
        state, on = state_of(fields["JobState"]), f" on {node}" if node and node[0].isalnum() else ""
        if (job, index) in self.ends:
            return self.ends[job, index] + on
        if state == "FAILED" and fields.get("ExitCode", "").endswith(":9"):
            return "killed (signal 9), most likely out of memory"
        if state == "COMPLETED":
            return "Slurm says COMPLETED, but it left no state: is its folder shared with the node?" + on
        return ENDS.get(state, f"Slurm: {fields['JobState']}, {fields.get('Reason', '')}") + on

    def avoid(self, nodes: list[str]) -> list[str]:
        """Option of sbatch."""
        return [f"--exclude={','.join(nodes)}"]

    def cancel(self, job: str) -> None:
        """Call scancel."""
        ask(["scancel", *place(job)])


if __name__ == "__main__":
    main(Slurm())
