"""Blocks of code in the pages of the documentation, and the commands in them, for the tests that run or check them.

- `console`: commands after `$ `, continued after `> `, and below each what it prints. These are run.
- `sh`, and indented blocks: commands alone. Their options are checked.
- `python` and `toml` whose first line is a comment with a path: a file that the commands after it need.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?P<text>(?: {4,}\S.*\n|\n(?= {4,}\S))+)")
FILE = re.compile(r"# (?P<path>[\w./-]+\.(?:py|toml))\n")
COMMAND = re.compile(r"(sv|\./run\.sh|egs/\w+/run\.sh|make|(utils|local)/[\w.-]+\.py)( |$)")


@dataclass(frozen=True)
class Block:
    """Block of code of a page.

    Attributes
    ----------
    page : Path
    line : int
        Of its first line, from 1.
    language : str
        Empty for an indented block.
    text : str
        Without the fence.
    """

    page: Path
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """Path, from the root of the repository, of the file that this block is; None if it is something else."""
        found = FILE.match(self.text) if self.language in ("python", "toml") else None
        return found["path"] if found else None


def blocks_of(page: Path) -> list[Block]:
    """Blocks of a Markdown page, in order."""
    text, found = page.read_text(encoding="utf-8"), []
    for match in FENCE.finditer(text):
        found.append(Block(page, text.count("\n", 0, match.start()) + 2, match["language"], match["text"]))
    blanked = FENCE.sub(lambda match: "x\n" * match[0].count("\n") + "x", text)  # no block, and no line less
    for match in INDENTED.finditer(blanked):
        found.append(Block(page, blanked.count("\n", 0, match.start("text")) + 1, "", match["text"]))
    return sorted(found, key=lambda block: block.line)


def typed(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Commands of a `console` block, and the lines that each prints."""
    command, printed = "", []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, printed
            command, printed = line[2:], []
        elif line.startswith("> ") and not printed:
            command += "\n" + line[2:]
        else:
            printed.append(line)
    yield command, printed


def joined(text: str) -> str:
    """Text whose lines that go on after a backslash are one."""
    return re.sub(r"\s*\\\n\s*", " ", text)


def commands_of(block: Block) -> Iterator[tuple[int, str]]:
    """Line and text of each command of a block of any kind, without comments; of indented ones those that `COMMAND` knows."""
    if block.language == "console":
        lines = [(block.line, joined(command)) for command, _ in typed(block)]
    elif block.language in ("sh", ""):
        lines = list(enumerate(joined(block.text).splitlines(), start=block.line))
    else:
        return
    for number, line in lines:
        text = re.split(r"(?<=\S)\s{2,}|\s+#", line.strip())[0] if block.language != "console" else line
        if text and not text.startswith("#") and (block.language or COMMAND.match(text)):
            yield number, text
