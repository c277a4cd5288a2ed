"""Conf files of slurm.py and sge.py, in Kaldi's syntax: the submit command, and what our options are to it."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from job_request import UsageError

UTILS = Path(__file__).resolve().parent
OURS = ("max_jobs_run", "pick", "num_tries", "config")  # these mean nothing to a conf file


@dataclass(frozen=True, kw_only=True)
class Conf:
    """A conf file: the submit command, defaults, and what an option becomes, by (name, value or `*`)."""

    path: Path
    command: list[str]
    defaults: dict[str, str]
    options: dict[tuple[str, str], str]

    def names(self) -> list[str]:
        """Options that the file knows."""
        return sorted({name for name, _ in self.options})


def read_conf(path: Path) -> Conf:
    """Read a file of `command`, `default name=value` and `option name=value words` lines, in any order.

    Raises
    ------
    UsageError
        Naming file and line.
    """
    command, defaults, options = [], {}, {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        match = re.fullmatch(r"\s*([\w-]+)=(\S+)\s*(.*)", rest)
        try:
            words = shlex.split(match[3] if kind == "option" and match else rest)
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}") from error
        if kind == "command" and words:
            command = words
        elif kind == "default" and match and not match[3]:
            defaults[match[1].replace("-", "_")] = match[2]
        elif kind == "option" and match:
            options[match[1].replace("-", "_"), match[2]] = match[3]
        elif kind:
            raise UsageError(
                f"{path}:{number}: expected 'command ...', 'default name=value' or 'option name=value ...'"
            )
    if not command:
        raise UsageError(f"{path}: no line 'command ...'")
    return Conf(path=path, command=command, defaults=defaults, options=options)


def translate(conf: Conf, options: Mapping[str, str]) -> list[str]:
    """The scheduler's words for our options; raises UsageError for one that the file does not describe."""
    words = []
    for name, value in options.items():
        if name in OURS:
            continue
        template = conf.options.get((name, value), conf.options.get((name, "*")))
        if template is None:
            raise UsageError(f"{conf.path}: no line 'option {name}={value} ...' or 'option {name}=* ...'")
        words += [word.replace("$0", value) for word in shlex.split(template)]
    return words


def find_conf(request_options: Mapping[str, str], kind: str) -> Path:
    """The conf file: --config, conf/<kind>.conf of the recipe, or ours."""
    if "config" in request_options:
        return Path(request_options["config"])
    own = Path("conf") / f"{kind}.conf"
    return own if own.exists() else UTILS / "conf" / f"{kind}.conf"
