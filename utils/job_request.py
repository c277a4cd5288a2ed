"""Kaldi's command line of run.pl, queue.pl and slurm.pl: `[options] [JOB=1:8] [options] LOG command...`."""

import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from progress_line import LINE

OPTIONS = {  # name: (what a value looks like, what it is)
    "mem": (r"[0-9]{1,15}(\.[0-9]{1,6})?[KMGT]?B?", "memory of a task, as in 4G, 4g or 4096M"),
    "gpu": (r"[0-9]{1,4}", "GPUs of a task, or of a node of it: a whole number, 0 for none"),
    "num_threads": (r"[1-9][0-9]{0,5}", "cores of a task: a whole number from 1"),
    "time": (r"([0-9]{1,4}-)?[0-9]{1,6}(:[0-9]{1,2}){0,2}", "time limit of a task, as in 4:00:00"),
    "num_nodes": (r"[1-9][0-9]{0,5}", "nodes of a task: a whole number from 1"),
    "max_jobs_run": (r"[1-9][0-9]{0,5}", "tasks that may run at once: a whole number from 1"),
    "pick": (
        r"all|failed|incomplete",
        "which tasks to run, by how they ended the last time: all, failed or incomplete",
    ),
    "num_tries": (r"[1-9][0-9]{0,2}", "attempts that a task has: a whole number from 1 to 999"),
    "config": (r".+", "file that says what the options are to the scheduler"),
}
MOST_TASKS = 1_000_000  # each has a state, a log and a line in what is polled
# Words that are passed to bash as they are, as Kaldi does; every other word reaches the command exactly as it was typed.
OPERATORS = re.compile(r"[|;&]|\|\||&&|\|&|[012]?(>>?|<)|2>&1|>&2|[012]?(>>?|<)[\w./-]+")


class UsageError(ValueError):
    """A command line that makes no sense."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Request of a command line.

    Attributes
    ----------
    log : str
        File, with `word` in its name if this is an array.
    command : list of str
    word : str
        What stands for the task's number, JOB most often; empty if there is one task only.
    first, last : int
    options : dict
        By name, with underscores.
    passed_on : list of str
        The scheduler's own options, `-p long`.
    """

    log: str
    command: list[str]
    word: str = ""
    first: int = 1
    last: int = 1
    options: dict[str, str] = field(default_factory=dict)
    passed_on: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> range:
        """Numbers of the tasks."""
        return range(self.first, self.last + 1)

    @property
    def num_tries(self) -> int:
        """Attempts that a task has."""
        return int(self.options.get("num_tries", 1))

    @property
    def name(self) -> str:
        """The log's name without its number and suffix: what a queue shows."""
        stem = Path(self.log).name.removesuffix(".log")
        return re.sub(rf"[.-]?{re.escape(self.word)}", "", stem) if self.word else stem

    @property
    def folder(self) -> Path:
        """Folder of the states and scripts: `q/<log's name>` beside a folder `log`, or in the log's folder."""
        log = Path(self.log).absolute()
        return (log.parent.parent if log.parent.name == "log" else log.parent) / "q" / log.name.removesuffix(".log")

    def fill(self, text: str, task: int) -> str:
        """Put the task's number in the place of the word, wherever it stands, as Kaldi does."""
        return text.replace(self.word, str(task)) if self.word else text

    def log_of(self, task: int) -> Path:
        """Log of a task."""
        return Path(self.fill(self.log, task))

    def command_of(self, task: int) -> list[str]:
        """Command of a task."""
        return [self.fill(word, task) for word in self.command]


def parse(words: list[str], pass_on: bool = False) -> Request:
    """Read `[options] [JOB=1:8] [options] LOG command...`; `check_options` says whether it knows the options.

    Parameters
    ----------
    words : list of str
    pass_on : bool
        Whether `-x value` is an option of the scheduler.

    Raises
    ------
    UsageError
    """
    words, options, passed_on = list(words), {}, []
    array, first, last = "", 1, 1
    while words:
        if re.match(r"[A-Za-z_]\w*=(?!.*(/|\.log$))", words[0], re.ASCII):
            array, first, last = array_range(words.pop(0))
        elif words[0].startswith("--"):
            name, value = _option(words)
            options[name] = value
        elif words[0].startswith("-") and len(words[0]) > 1:
            _single_dash(words, options, passed_on, pass_on)
        else:
            break
    if len(words) < 2:
        raise UsageError("a log file and a command are needed")
    if words[0].endswith("/") or not Path(words[0]).name or Path(words[0]).is_dir():
        raise UsageError(f"the first word is the log's name, which must be a file's; got {words[0]!r}")
    if "mem" in options:
        options["mem"] = plain_memory(options["mem"])
    if array and array not in words[0]:
        raise UsageError(f"the log's name must hold {array}, or the jobs would write to one file: {words[0]}")
    return Request(
        log=words[0], command=words[1:], word=array, first=first, last=last, options=options, passed_on=passed_on
    )


def array_range(word: str) -> tuple[str, int, int]:
    """Read `JOB=1:8` or `JOB=3` into the word, the first and the last number; raises UsageError."""
    name, _, text = word.partition("=")
    found = re.fullmatch(r"([0-9]{1,18})(?::([0-9]{1,18}))?", text)
    if not found:
        raise UsageError(f"{word[:80]!r}: expected {name[:40]}=FIRST:LAST or {name[:40]}=NUMBER, whole numbers")
    first, last = int(found[1]), int(found[2] or found[1])
    if first < 1:
        raise UsageError(f"{word}: tasks are numbered from 1")
    if last < first:
        raise UsageError(f"{word}: the last job comes before the first")
    if last - first >= MOST_TASKS:
        raise UsageError(f"{word}: {last - first + 1} tasks; at most {MOST_TASKS}, so give each more to do")
    return name, first, last


def plain_memory(text: str) -> str:
    """Memory as schedulers take it: 4g, 4GB -> 4G, 1.5G -> 1536M; text that is none is left as it is."""
    if not re.fullmatch(OPTIONS["mem"][0], text.upper()):
        return text
    return raised(text.upper().removesuffix("B"), 1)


def raised(memory: str, factor: int) -> str:
    """`memory` times a whole number: 1.5G, 2 -> 3072M."""
    number, unit = re.fullmatch(r"([0-9.]+)([KMGT]?)", memory).groups()
    if number.isdigit():
        return f"{int(number) * factor}{unit}"
    smaller = {"T": "G", "G": "M", "M": "K", "K": "", "": ""}[unit]
    return f"{round(float(number) * (1024 if unit else 1) * factor)}{smaller}"


def _option(words: list[str]) -> tuple[str, str]:
    option, equals, value = words.pop(0).partition("=")
    if not equals:
        if not words:
            raise UsageError(f"{option} needs a value")
        value = words.pop(0)
    return option[2:].replace("-", "_"), value


def check_options(options: dict[str, str], more_options: Iterable[str] = ()) -> None:
    """Raise UsageError for an option that is neither in OPTIONS nor in `more_options`, or for a value it cannot have."""
    known = [*OPTIONS, *(name for name in more_options if name not in OPTIONS)]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if name not in known:
            listed = ", ".join(f"--{each.replace('_', '-')}" for each in known)
            raise UsageError(f"unknown option {option}; known are {listed}")
        pattern, meaning = OPTIONS.get(name, (r".*", ""))
        if not re.fullmatch(pattern, value):
            raise UsageError(f"{option}: {meaning}; got {value[:80]!r}")


def _single_dash(words: list[str], options: dict[str, str], passed_on: list[str], pass_on: bool) -> None:
    option = words.pop(0)
    num_values = {"-V": 0, "-pe": 2}.get(option, 1)
    if option != "-tc" and not pass_on:
        raise UsageError(f"unknown option {option}; the scheduler's own options mean nothing here")
    if len(words) < num_values:
        raise UsageError(f"{option} needs a value")
    values = [words.pop(0) for _ in range(num_values)]
    if option == "-tc":
        options["max_jobs_run"] = values[0]
    else:
        passed_on += [option, *values]


def shell_line(command: list[str]) -> str:
    """The command as one line of bash: quoted, but for the operators."""
    return " ".join(word if OPERATORS.fullmatch(word) else shlex.quote(word) for word in command)


def ranges(numbers: Iterable[int]) -> str:
    """`1-3,7` for 1, 2, 3, 7."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def say(name: str, message: str) -> None:
    """One line on stderr."""
    with LINE.given_way():
        print(f"{name}: {message}", file=sys.stderr, flush=True)


def exit_on_usage_error(name: str, error: Exception) -> NoReturn:
    """Say in one line what is wrong with the command line, and how one looks."""
    message = str(error).replace("\n", "\\n")
    say(name, f"{message} (usage: utils/{name} [--mem 4G] [--gpu 1] ... [JOB=1:8] LOG command...)")
    sys.exit(2)
