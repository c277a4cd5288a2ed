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


class Sge:
    """Grid Engine's programs."""

    name = "sge.py"
    index_variable = "SGE_TASK_ID"
    sets_devices = False

    def __init__(self) -> None:
        self.errors: dict[tuple[str, int], str] = {}

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
        return re.findall(r"^\d+", submit_patiently(command, UNREACHABLE), re.M)[-1]

    def active(self, job: str) -> dict[int, str] | None:
        """States of what waits or runs; None if the master does not answer. An index in state Eqw never runs: it is deleted."""
        done = ask(["qstat", "-u", "*", "-s", "prs", "-xml"])
        if done.returncode:
            return None
        states = {}
        for record in ElementTree.fromstring(done.stdout).iter("job_list"):
            if record.findtext("JB_job_number") == job:
                state = record.findtext("state", "")
                states |= dict.fromkeys(indices(record.findtext("tasks", "1")), state)
        stuck = [index for index, state in states.items() if "E" in state]
        for index in stuck:
            self.errors[job, index] = self.why_stuck(job)
            ask(["qdel", job, "-t", str(index)])
        return {index: state for index, state in states.items() if index not in stuck}

    def why_stuck(self, job: str) -> str:
        """Grid Engine's reason for the state Eqw."""
        found = re.search(r"^error reason.*?:\s+(.*)", ask(["qstat", "-j", job]).stdout, re.M)
        return f"could not start (Grid Engine: {found[1].strip() if found else 'Eqw'})"

    def explain(self, job: str, index: int) -> str:
        """Ask the accounting about an index; it knows a few seconds late as a rule."""
        if (job, index) in self.errors:
            return self.errors[job, index]
        for record in ask(["qacct", "-j", job]).stdout.split("=" * 20):
            fields = dict(line.split(maxsplit=1) for line in record.splitlines() if len(line.split(maxsplit=1)) == 2)
            if fields.get("taskid", "").strip() in ("undefined", str(index)):
                return explain_record({name: value.strip() for name, value in fields.items()})
        return ""

    def avoid(self, nodes: list[str]) -> list[str]:
        """Nothing: its explanations name no node, and it takes those that do not answer out itself."""
        return []

    def cancel(self, job: str) -> None:
        """Call qdel."""
        ask(["qdel", job])


def explain_record(fields: dict[str, str]) -> str:
    """Reason why a task ended, from its record in the accounting; empty if there is nothing to say."""
    failed, killed = fields["failed"], fields["exit_status"].startswith("137")
    limit = re.search(r"h_rt=(\d+)", fields.get("category", ""))
    if "h_rt" in failed or (killed and limit and float(fields["ru_wallclock"].rstrip("s")) >= int(limit[1])):
        return f"over its time limit (Grid Engine: failed {failed}); --time gives it more"
    if "rescheduling" in failed:
        return f"rescheduled (Grid Engine: failed {failed})"
    if killed:
        return f"killed (signal 9), most likely out of memory (Grid Engine: failed {failed})"
    return "" if failed.startswith("0") else f"Grid Engine: failed {failed}, exit status {fields['exit_status']}"


def indices(text: str) -> list[int]:
    """`1-7:2,9` as 1, 3, 5, 7, 9."""
    found: list[int] = []
    for part in text.split(","):
        first, last, step = re.fullmatch(r"(\d+)(?:-(\d+):(\d+))?", part.strip()).groups()
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return found


if __name__ == "__main__":
    main(Sge())
