"""Progress of jobs, from what they leave on disk: states, logs and train.jsonl, wherever they run and whoever started them."""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from job_request import Request
from progress_line import Part, duration, shown

SET = re.compile(rb"^(\S+): (\d+) utterances$", re.M)  # a job has done its share of a set
COUNTED = re.compile(rb"^(\S+): (\d+) of (\d+) ([a-z]+)$", re.M)  # sv.base.progress
STEPS = re.compile(r" (\d+) steps an epoch")


class Tail:
    """Reader of what a file has got since the last time; from its beginning again if it was replaced or cut.

    Parameters
    ----------
    path : Path
    old_too : bool
        Whether to read what is there already, of an earlier run, too; else nothing is until the file changes.
    """

    def __init__(self, path: Path, old_too: bool = False) -> None:
        self.path = path
        self.inode, self.offset = 0, 0
        self.old: tuple[int, ...] = ()
        with suppress(OSError):
            self.old = () if old_too else self.stamp()

    def stamp(self) -> tuple[int, ...]:
        """Inode, size and time of the file; raises OSError if it is not there."""
        stat = self.path.stat()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def lines(self) -> tuple[bool, bytes]:
        """Tell whether the file was begun anew, and its new whole lines; raises OSError if it is not there."""
        stamp = inode, size, _ = self.stamp()
        if stamp == self.old:
            return False, b""
        self.old = ()
        if fresh := inode != self.inode or size < self.offset:
            self.inode, self.offset = inode, 0
        with self.path.open("rb") as file:
            file.seek(self.offset)
            text = file.read(size - self.offset)
        text = text[: text.rfind(b"\n") + 1]
        self.offset += len(text)
        return fresh, text


class Pace:
    """Speed at which a count has grown since it was first seen."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None

    def see(self, count: float, total: float) -> tuple[float, float | None]:
        """Units a second, and the seconds that are left; 0 and None as long as nothing was added."""
        now = time.time()
        if self.first is None or count < self.first[1]:
            self.first = now, count
        since, before = self.first
        if count <= before or now <= since:
            return 0.0, None
        rate = (count - before) / (now - since)
        return rate, max(0.0, total - count) / rate


class Training:
    """Progress of a training, from train.jsonl; that of an earlier run counts for nothing until this one has taken it over.

    Parameters
    ----------
    folder : Path
        Model folder that is trained into.
    log : Path
        Log of the training, which says how many steps an epoch has.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log = folder, log
        self.journal = Tail(folder / "train.jsonl")
        self.pace = Pace()
        self.last: dict[str, float] = {}
        self.eer: float | None = None

    def read(self) -> None:
        """Take the new lines in."""
        fresh, text = self.journal.lines()
        if fresh:
            self.last, self.eer = {"step": 0, "epoch": 0}, None
        for line in text.splitlines():
            record = json.loads(line)
            self.eer = record.get("valid_eer", self.eer)
            self.last |= record

    def parts(self) -> tuple[list[Part], float | None]:
        """Parts of the line, and the seconds that are left; raises OSError or ValueError before there is any record."""
        self.read()
        if not self.last:
            return [Part(["starting"])], None
        step, epoch = int(self.last["step"]), int(self.last["epoch"]) + 1
        with self.log.open(encoding="utf-8", errors="replace") as file:
            steps = STEPS.search(file.read(20_000))
        epochs = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))["train"]["num_epochs"]
        total = int(steps[1]) * epochs if steps else 0
        _, left = self.pace.see(step, total)
        rate = self.last.get("utterances_per_second")
        parts = [
            Part([f"step {step} of {total}", f"step {step}/{total}"] if total else [f"step {step}"], 6, stays=True),
            Part([f"epoch {epoch} of {epochs}", f"epoch {epoch}/{epochs}"], 5),
            Part([f"loss {self.last['loss']:.3g}"] if "loss" in self.last else [], 3),
            Part([f"held-out EER {self.eer:.2f} %", f"EER {self.eer:.2f} %"] if self.eer is not None else [], 4),
            Part([f"{rate:.0f} utterances/s", f"{rate:.0f} utt/s"] if rate else [], 6),
        ]
        return parts, left if total else None


class Jobs:
    """Progress of the tasks of a request.

    Parameters
    ----------
    request : Request
    status_of : callable
        From a task to the status that its state file holds; empty if there is none.
    title : str
        What runs, for the line's beginning.
    since : float
        Time in seconds since the epoch at which it began.
    estimated : callable
        Returns the seconds that it is expected to take, or None.
    """

    def __init__(
        self,
        request: Request,
        status_of: Callable[[int], str],
        title: str,
        since: float,
        estimated: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.request, self.status_of, self.title = request, status_of, title
        self.since, self.estimated = since, estimated
        self.done: set[int] = set()
        self.counts: dict[int, Counter[str]] = {task: Counter() for task in request.tasks}
        self.total = sum(map(num_lines, data_dirs(request.command)))
        self.counted: tuple[str, int, int, str] | None = None
        self.tasks_pace, self.inner_pace = Pace(), Pace()
        folder = exp_dir(request.command)
        self.training = Training(folder, request.log_of(request.first)) if folder else None
        self.tasks_pace.see(self.states()["done"], 0)
        wanted = request.tasks if self.total or len(request.tasks) == 1 else ()
        self.logs = {task: Tail(request.log_of(task), old_too=task in self.done) for task in wanted}
        if self.total:
            self.read_logs()
            self.inner_pace.see(self.num_worked(), 0)

    def states(self) -> Counter[str]:
        """Numbers of tasks by status; "" is that of those that have not started."""
        found = Counter({"done": len(self.done)})
        for task in self.request.tasks:
            if task not in self.done:
                status = self.status_of(task)
                found[status] += 1
                if status == "done":
                    self.done.add(task)
        return found

    def look(self) -> list[Part]:
        """The line's parts."""
        number, states = len(self.request.tasks), self.states()
        failed = states["failed"] + states["lost"]
        if number == 1:
            status = "failed" if failed else "" if states["running"] or states["done"] else "waiting to start"
            parts = [Part([self.title]), Part([status])]
        else:
            parts = [
                Part([self.title]),
                Part([f"{states['done']} of {number} jobs done", f"{states['done']}/{number} done"], 6, stays=True),
                Part([f"{states['running']} running"], 2),
                Part([f"{failed} failed" if failed else ""]),
            ]
        inner, left = self.inner()
        if left is None and number > 1:
            left = self.tasks_pace.see(states["done"], number)[1]
        elapsed = time.time() - self.since
        if left is None and (whole := self.estimated()):
            left = whole - elapsed if whole > elapsed else None
        said = f"{duration(left)} left" if left is not None else ""
        return [*parts, *inner, Part([duration(elapsed)], 4), Part([said], 1), Part(log_forms(self.request.log), 7)]

    def inner(self) -> tuple[list[Part], float | None]:
        """Progress within the tasks, and the seconds left by it."""
        if self.training:
            try:
                return self.training.parts()
            except (OSError, ValueError, KeyError):
                return [Part(["starting"])], None
        self.read_logs()
        if self.counted:
            name, count, total, unit = self.counted
        elif self.total:
            name, count, total, unit = "", self.num_worked(), self.total, "utterances"
        else:
            return [], None
        rate, left = self.inner_pace.see(count, total)
        forms = [f"{name} {count} of {total} {unit}".strip(), f"{count} of {total} {unit}", f"{count}/{total} {unit}"]
        speed = f"{rate:.3g} {unit}/s" if rate < 1000 else f"{rate:.0f} {unit}/s"
        return [Part(forms, 6, stays=True), Part([speed] if rate else [], 3)], left

    def num_worked(self) -> int:
        """Utterances of the sets that tasks are done with."""
        return sum(sum(sets.values()) for sets in self.counts.values())

    def read_logs(self) -> None:
        """Take in what the logs have got: sets that are done, or a count of a task that runs alone."""
        for task, log in self.logs.items():
            with suppress(OSError):
                fresh, text = log.lines()
                if fresh:
                    self.counts[task].clear()
                    self.counted = None
                if self.total:
                    self.counts[task].update({name.decode(): int(count) for name, count in SET.findall(text)})
                if len(self.logs) == 1 and (found := COUNTED.findall(text)):
                    name, count, total, unit = found[-1]
                    if self.counted and self.counted[0] != name.decode():
                        self.inner_pace = Pace()
                    self.counted = name.decode(errors="replace"), int(count), int(total), unit.decode()


def log_forms(log: str) -> list[str]:
    """A log's path, whole and with less and less of its folders."""
    parts = Path(log).parts
    return [log, *(f".../{'/'.join(parts[-count:])}" for count in (3, 2) if len(parts) > count), parts[-1]]


def data_dirs(command: list[str]) -> Iterator[Path]:
    """Data directories that a command ends with."""
    for word in reversed(command):
        table = Path(word, "utt2spk")
        if word.startswith("-") or not table.is_file():
            return
        yield table


def num_lines(path: Path) -> int:
    """Lines of a file."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def exp_dir(command: list[str]) -> Path | None:
    """Model folder that a command trains into; None if it does not train."""
    at = command.index("--exp-dir") if "--exp-dir" in command[:-1] else -1
    return Path(command[at + 1]) if at >= 0 else None


def progress(request: Request, status_of: Callable[[int], str]) -> AbstractContextManager[None]:
    """Show the tasks' progress during a block, under the title that the recipe's stage has, if it is one's.

    utils/stage.sh says STAGE_TITLE, STAGE_STARTED, STAGE_BEGUN (the file that may tell what the stage is expected to take) and
    STAGE_QUIET, with which nothing is shown.
    """
    if os.environ.get("STAGE_QUIET") == "true":
        return nullcontext()
    began = time.time()
    with suppress(ValueError):
        began = float(os.environ.get("STAGE_STARTED", began))

    def estimated() -> float | None:
        try:
            return json.loads(Path(os.environ["STAGE_BEGUN"]).read_text(encoding="utf-8"))["estimated"]
        except (KeyError, OSError, ValueError, TypeError):
            return None

    jobs = Jobs(request, status_of, os.environ.get("STAGE_TITLE") or request.name, began, estimated)
    return shown(jobs.look, began)
