"""Commands and examples of the documentation exist as they are written."""

import contextlib
import importlib
import io
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from sv.__main__ import COMMANDS
from sv.base.config import from_dict
from sv.embed.command_model import CommandDescription
from sv.embed.onnx_model import OnnxDescription

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs" / "models.md")
LINES = sorted({line.split("#")[0].strip() for page in PAGES for line in page.read_text().splitlines()
                if line.startswith("    sv ")})  # fmt: skip
# The word after the command that chooses a parser of its own.
CHOICES = {"models": ("list", "get", "card"), "calibrate": ("fit", "apply"), "results": ("check", "verify")}


@pytest.mark.parametrize("line", LINES)
def test_commands_and_their_options_exist(line) -> None:
    _, command, *words = shlex.split(line)
    assert command in COMMANDS
    chosen = [words[0]] if command in CHOICES else []
    assert not chosen or chosen[0] in CHOICES[command]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as exit_:
        importlib.import_module(f"sv.bin.{command.replace('-', '_')}").main([*chosen, "--help"])
    assert exit_.value.code == 0
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", printed.getvalue()), f"{command} has no {option}"


def test_the_descriptions_of_the_documentation_are_read() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "models.md").read_text(), flags=re.DOTALL)
    kinds = [CommandDescription if "command" in block else OnnxDescription for block in blocks]
    assert kinds == [OnnxDescription, CommandDescription]
    for kind, block in zip(kinds, blocks):
        from_dict(kind, tomllib.loads(block), "docs/models.md")
