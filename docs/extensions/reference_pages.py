"""Pages of the reference, written into docs/generated from the code at every build, and never by hand.

A page per command (its parser), per recipe (`./run.sh --help`) and per public module (its docstrings, by autodoc).
"""

import argparse
import os
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from parsers import arguments, meaning, parser_of_command, spelling, subparsers

from sv.__main__ import COMMANDS, STAGE_COMMANDS

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "sv": "The stable part: models that embed and compare.",
    "sv.scoring": "Scores, back ends, calibration, error rates. NumPy and SciPy alone.",
    "sv.scoring.backends": "Back ends that recipes know by name.",
    "sv.features": "Front ends and segments.",
    "sv.models": "Networks by name.",
    "sv.models.rawnet": "The RawNet family.",
    "sv.losses": "Losses by name.",
    "sv.data": "From a corpus to batches: audio, noise, trials.",
    "sv.kaldi": "Kaldi's file formats.",
}
COMMAND_LINE = re.compile(r"( {2,}|sv |torchrun |python )")


def escaped(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\`*_<>\[\]|$])", r"\\\1", text)


def described(doc: str) -> Iterator[str]:
    """Markdown of a command's description: lines of commands as code, all else as text."""
    for paragraph in doc.strip().split("\n\n"):
        lines = paragraph.splitlines()
        is_command = [bool(COMMAND_LINE.match(line)) for line in lines]
        if all(is_command):
            yield "```text\n" + paragraph + "\n```\n"
        elif any(is_command):  # text that ends where commands begin
            first = is_command.index(True)
            yield escaped("\n".join(lines[:first])) + "\n"
            yield "```text\n" + "\n".join(lines[first:]) + "\n```\n"
        else:
            yield escaped(paragraph) + "\n"


def options_list(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Markdown of a parser's arguments as a list of definitions."""
    for action in arguments(parser):
        required = " (required)" if action.option_strings and action.required else ""
        yield f"`{spelling(action)}`{required}\n: {escaped(meaning(parser, action)) or '-'}\n"


def command_page(name: str) -> str:
    """Markdown of the page of `sv NAME`."""
    parser = parser_of_command(name)
    parts = [f"# sv {name}\n", *described(parser.description or ""), *options_list(parser)]
    for command, text, own in subparsers(parser):
        parts += [f"## sv {name} {command}\n", f"{escaped(text[:1].upper() + text[1:])}.\n" if text else ""]
        parts += ["```text\n" + re.sub(r"^usage: ", "", own.format_usage()).strip() + "\n```\n", *options_list(own)]
    return "\n".join(parts)


def command_pages() -> Iterator[tuple[str, str]]:
    """File name and text of the pages of all commands, and of their list."""
    lines = [
        "# Commands\n",
        "`sv COMMAND --help` prints the same. These pages are made of the commands' own parsers.\n",
    ]
    for title, commands in (("Of every day", COMMANDS), ("Of the stages of a recipe", STAGE_COMMANDS)):
        lines += [f"## {title}\n", "| command | purpose |", "|---|---|"]
        lines += [f"| [sv {name}](commands/{name}.md) | {escaped(text)} |" for name, text in commands.items()]
        lines += ["", "```{toctree}\n:hidden:\n", *(f"commands/{name}" for name in commands), "```\n"]
    yield "commands.md", "\n".join(lines)
    for name in COMMANDS | STAGE_COMMANDS:
        yield f"commands/{name}.md", command_page(name)


def recipe_help(recipe: str) -> tuple[str, list[tuple[str, str]]]:
    """Head of a recipe's help, and its options with their meanings."""
    env = os.environ | {"COLUMNS": "200"}
    run = [ROOT / "egs" / recipe / "run.sh", "--help"]
    said = subprocess.run(run, capture_output=True, text=True, check=True, env=env).stdout
    head, _, options = said.partition("Options (default):\n")
    return head.strip(), re.findall(r"^  (--\S+) +(.*)$", options, flags=re.MULTILINE)


def recipe_pages() -> Iterator[tuple[str, str]]:
    """File name and text of the pages of all recipes, and of their list."""
    recipes = sorted(path.parent.name for path in ROOT.glob("egs/*/run.sh"))
    yield (
        "recipes.md",
        "# Recipes\n\nOptions and stages of each recipe, as `./run.sh --help` prints them. What they mean at length "
        "is told by the `README.md` beside each `run.sh`.\n\n"
        + "```{toctree}\n:titlesonly:\n\n"
        + "\n".join(f"recipes/{name}" for name in recipes)
        + "\n```\n",
    )
    for name in recipes:
        head, options = recipe_help(name)
        rows = "\n".join(f"`{option}`\n: {escaped(text) or '-'}\n" for option, text in options)
        text = f"# egs/{name}\n\n```text\n{head}\n```\n\n## Options\n\nThe default stands in parentheses.\n\n{rows}"
        yield f"recipes/{name}.md", text


def titled(name: str) -> str:
    """Title of a page in reStructuredText."""
    return f"{name}\n{'=' * len(name)}\n"


def module_pages() -> Iterator[tuple[str, str]]:
    """File name and text of the pages of the public packages and modules, and of their list."""
    listed = "\n".join(f"   api/{name}" for name in PACKAGES)
    purposes = "\n".join(f"`{name}`\n   {text}" for name, text in PACKAGES.items())
    yield "api.rst", f"{titled('Modules')}\n{purposes}\n\n.. toctree::\n   :hidden:\n\n{listed}\n"
    for package in PACKAGES:
        found = pkgutil.iter_modules(import_module(package).__path__) if package != "sv" else ()
        modules = [f"{package}.{each.name}" for each in found if not each.ispkg]
        shown = ["sv.embed.api"] if package == "sv" else modules
        listed = "\n".join(f"   {name}" for name in shown)
        yield (
            f"api/{package}.rst",
            f"{titled(package)}\n.. automodule:: {package}\n   :no-members:\n\n"
            f".. py:currentmodule:: None\n\n.. autosummary::\n\n{listed}\n\n.. toctree::\n   :hidden:\n\n{listed}\n",
        )
        for name in shown:
            yield f"api/{name}.rst", f"{titled(name)}\n.. automodule:: {name}\n   :members:\n"


def write_pages(app: "Sphinx") -> None:
    """Write what has changed, and remove pages of what is no more."""
    folder, kept = Path(app.srcdir) / "generated", set()
    for name, text in (*command_pages(), *recipe_pages(), *module_pages()):
        path = folder / name
        kept.add(path)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in set(folder.rglob("*.*")) - kept:
        path.unlink()


def split_names(app: "Sphinx", what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Make `a, b : float` in a docstring's list of attributes two entries: as one, it reads as a type and a name."""
    found = []
    for line in lines:
        names, colon, kind = line.partition(" : ")
        several = re.fullmatch(r"\w+(, \w+)+", names) and colon and "Attributes" in lines
        found += [f"{each} : {kind}" for each in names.split(", ")] if several else [line]
    lines[:] = found


def setup(app: "Sphinx") -> dict[str, bool]:
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", write_pages, priority=1)
    app.connect("autodoc-process-docstring", split_names, priority=1)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
