#!/usr/bin/env python3
"""Run a command, or an array of them, on a Grid Engine cluster, with Kaldi's queue.pl command line and log format.

    utils/sge.py [--mem 4G] [--gpu 1] [--num-threads 2] [--time 4:00:00] [--max-jobs-run 10] [--num-tries 3] \\
        [--pick all|failed|incomplete] [--config conf/sge.conf] [JOB=1:8] exp/log/x.JOB.log command JOB

Arguments are as in utils/run.py; `-x value` is passed on to qsub. conf/sge.conf says what the options are to qsub. Whether
a task ended well is what it wrote itself; Grid Engine is asked whether it still runs. Only failed tasks are tried again,
with twice the memory if that ran out. INT, TERM and HUP delete what was submitted. Grid Engine counts GPUs but does not
say which: tasks claim free ones among themselves.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

from job_queue import ask, main, submit_patiently

UNREACHABLE = re.compile(r"unable to (contact|send message to) qmaster|commlib error|got send error|cannot reach", re.I)
# Codes of `failed` in accounting(5): before the job could run (also when its host came back without it), and put back.
HOST_FAILED = {*range(1, 17), *range(18, 23), 29, 31, 36, 38}
RESCHEDULED = {24, 25, 30}


class Sge:
    """Grid Engine's programs."""

    name = "sge.py"
    index_variable = "SGE_TASK_ID"
    sets_devices = False

    def __init__(self) -> None:
        self.ends: dict[tuple[str, int], str] = {}

    def largest_index(self) -> int:
        """max_aj_tasks of the cluster."""
        found = re.search(r"max_aj_tasks\s+(\d+)", ask(["qconf", "-sconf"]).stdout)
        return int(found[1]) if found and int(found[1]) else 75000

    def array_options(self, job_name: str, size: int, at_once: int | None, output: Path) -> list[str]:
        """Options of qsub for an array with indices 1 to `size`, or for a single job; a name must begin with a letter."""
        array = ["-t", f"1-{size}", *(["-tc", str(at_once)] if at_once else [])] if size > 1 else []
        name = re.sub(r"^(?=\d)|[^\w.-]", "_", job_name)
        return ["-terse", "-cwd", "-S", "/bin/bash", "-j", "y", "-N", name, "-o", str(output), *array]

    def submit(self, command: list[str]) -> str:
        """Call qsub; raises SubmitError."""
        return submit_patiently(command, UNREACHABLE, r"(\d+)(?:\.\d+-\d+:\d+)?")

    def active(self, job: str) -> dict[int, str] | None:
        """States of what waits or runs; None if the master does not answer. Notes in `ends` what never will.

        That is an index in an error state (Eqw), which is deleted, and one that somebody deletes (dr, on a dead host for ever).
        """
        done = ask(["qstat", "-u", "*", "-s", "prs", "-xml"])
        if done.returncode:
            return None
        try:
            records = ElementTree.fromstring(done.stdout[done.stdout.index("<") :]).iter("job_list")
        except (ValueError, ElementTree.ParseError):
            return None
        states: dict[int, str] = {}
        for record in records:
            if record.findtext("JB_job_number", "").strip() == job:
                state = record.findtext("state", "").strip()
                states |= dict.fromkeys(indices(record.findtext("tasks", "1")), state)
        for index, state in states.items():
            if (job, index) in self.ends:
                continue
            if "d" in state:
                self.ends[job, index] = f"cancelled by somebody else (Grid Engine: deleted, {state})"
            elif "E" in state:
                self.ends[job, index] = self.why_stuck(job, state)
                ask(["qdel", job, "-t", str(index)])
        return {index: state for index, state in states.items() if (job, index) not in self.ends}

    def why_stuck(self, job: str, state: str) -> str:
        """Grid Engine's reason for an error state."""
        found = re.search(r"^error reason.*?:\s+(.*)", ask(["qstat", "-j", job]).stdout, re.M)
        return f"could not start (Grid Engine: {found[1].strip() if found else state})"

    def explain(self, job: str, index: int) -> str:
        """Ask the accounting about an index; it knows a few seconds late as a rule."""
        if (job, index) in self.ends:
            return self.ends[job, index]
        words = ""
        for record in ask(["qacct", "-j", job]).stdout.split("=" * 20):
            fields = dict(line.split(maxsplit=1) for line in record.splitlines() if len(line.split(maxsplit=1)) == 2)
            if fields.get("taskid", "").strip() in ("undefined", str(index)):
                words = explain_record({name: value.strip() for name, value in fields.items()})  # the last try's counts
        return words

    def avoid(self, nodes: list[str]) -> list[str]:
        """Nothing: its explanations name no node, and it takes those that do not answer out itself."""
        return []

    def cancel(self, job: str) -> None:
        """Call qdel."""
        ask(["qdel", job])


def explain_record(fields: dict[str, str]) -> str:
    """Reason why a task ended, from its record in the accounting; empty if there is nothing to say."""
    failed, exit_status = fields.get("failed", "0"), fields.get("exit_status", "0")
    code = int(found[0]) if (found := re.match(r"[0-9]{1,3}\b", failed)) else 0
    killed = exit_status.split("(")[0].strip() in ("137", "9")
    said = f"(Grid Engine: failed {failed})"
    if fields.get("deleted_by", "NONE").upper() not in ("NONE", "UNDEFINED"):
        return f"cancelled by {fields['deleted_by']} {said}"
    if code == 37 or "h_rt" in failed or (killed and over_limit(fields)):
        return f"over its time limit {said}; --time gives it more"
    if code in RESCHEDULED or "rescheduling" in failed:
        return f"rescheduled {said}"
    if code in HOST_FAILED:
        return f"its host failed to run it {said}"
    if killed:
        return f"killed (signal 9), most likely out of memory {said}"
    return "" if code == 0 else f"Grid Engine: failed {failed}, exit status {exit_status}"


def over_limit(fields: dict[str, str]) -> bool:
    """True if a record's run was as long as the h_rt that was asked for."""
    limit = re.search(r"h_rt=([0-9]+)", fields.get("category", ""))
    ran = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)s?", fields.get("ru_wallclock", ""))
    return bool(limit and ran and float(ran[1]) >= int(limit[1]))


def indices(text: str) -> list[int]:
    """`1-7:2,9` as 1, 3, 5, 7, 9; what is no such range counts for nothing."""
    found: list[int] = []
    for part in text.split(","):
        if match := re.fullmatch(r"([0-9]{1,7})(?:-([0-9]{1,7})(?::([0-9]{1,7}))?)?", part.strip()):
            first, last, step = match.groups()
            found += range(int(first), int(last or first) + 1, int(step or 1) or 1)
    return found


if __name__ == "__main__":
    main(Sge())
