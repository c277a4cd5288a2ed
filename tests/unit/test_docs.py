"""Commands and examples of the documentation exist as they are written; tests/system/test_docs_commands.py runs them."""

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from local.check_options import OPTIONS, check_value
from sv.__main__ import COMMANDS, STAGE_COMMANDS
from sv.base.config import from_dict
from sv.embed.command_model import CommandDescription
from sv.embed.onnx_model import OnnxDescription

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "docs" / "extensions"


def load(name: str):
    """A module of the documentation's own, from its file."""
    spec = importlib.util.spec_from_file_location(name, EXTENSIONS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


blocks, parsers, reference = load("blocks"), load("parsers"), load("reference_pages")
DOCS = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.md")]
PAGES = [ROOT / "README.md", *sorted(DOCS), *sorted(ROOT.glob("egs/*/README.md"))]
# Programs that every machine has, in the tutorials.
OTHERS = set(". cat cd cp cut echo git grep head ls mkdir mv pip python sed sort tail touch wc".split())


def recipe_of(page: Path, line: int) -> str:
    """The recipe whose folder a command stands in: where the page changed to last, or the page's own."""
    changed = re.findall(r"cd (?:\S*/)?egs/(\w+)", "\n".join(page.read_text().splitlines()[:line]))
    return changed[-1] if changed else page.parent.name


def lines() -> list[tuple[str, str, str]]:
    """(page:line, recipe, command) of every command in the documentation."""
    return [
        (f"{page.relative_to(ROOT)}:{line}", recipe_of(page, line), text)
        for page in PAGES
        for block in blocks.blocks_of(page)
        for line, text in blocks.commands_of(block)
    ]


@cache
def options_of(recipe: str) -> frozenset[str]:
    """Options of a recipe, by the names of their variables."""
    said = subprocess.run([ROOT / "egs" / recipe / "run.sh", "--help"], capture_output=True, text=True, check=True)
    return frozenset(name.replace("-", "_") for name in re.findall(r"^  --(\S+)", said.stdout, re.MULTILINE))


def check_recipe(words: list[str], recipe: str) -> None:
    """Every option is the recipe's, has a value of its type, and a configuration that it names is there."""
    names = iter(words)
    for word in names:
        assert word.startswith("--"), word
        if word == "--help":
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        assert name in options_of(recipe), f"egs/{recipe} has no --{name}"
        switch = name in ("mini", "dry_run", "compress", "verify_audio")
        value = value if equals else "true" if switch else next(names)
        if name in OPTIONS and name not in ("data", "exp", "test_audio", "noise"):  # which must be there
            check_value(name, value)
        if value.startswith("conf/") and not value.endswith("NAME.toml"):
            files = re.findall(r"^# egs/\w+/(conf/\S+)$", "".join(page.read_text() for page in PAGES), re.MULTILINE)
            assert (ROOT / "egs" / recipe / value).is_file() or value in files, value


def check_sv(words: list[str]) -> None:
    """The command's own parser takes the words."""
    command, *rest = words
    if command == "--version":
        return
    assert command in COMMANDS | STAGE_COMMANDS, command
    parsers.parser_of_command(command).parse_args(rest)


def check_program(program: str, words: list[str]) -> None:
    """A program of utils or local is there and knows the options."""
    path = ROOT / program
    assert path.is_file(), program
    if path.name in ("run.py", "slurm.py", "sge.py"):
        text = (ROOT / "utils" / "job_request.py").read_text()
        words = words[: next((at for at, word in enumerate(words) if "/" in word and word.endswith(".log")), None)]
    else:
        text = path.read_text()
    for option in (word.strip("[]").partition("=")[0] for word in words if word.strip("[").startswith("--")):
        assert f'"{option}"' in text or f'"{option[2:].replace("-", "_")}"' in text, f"{program} has no {option}"


def check(command: str, recipe: str) -> None:
    """Everything that a line of the documentation runs is there, with these options."""
    for part in re.split(r" (?:&&|\|\||\|) ", command.partition("<<")[0]):
        program, *words = shlex.split(part)
        if program == "sv":
            check_sv(words)
        elif program.endswith("run.sh"):
            check_recipe(words, program.split("/")[1] if program.startswith("egs/") else recipe)
        elif program == "make":
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert all(word in targets for word in words if "=" not in word)
        elif program.startswith(("utils/", "local/")):
            check_program(program, words)
        else:
            assert program in OTHERS or "=" in program, f"{program}: no program that this test knows"


@pytest.mark.parametrize(("place", "recipe", "command"), lines(), ids=lambda value: value)
def test_commands_and_their_options_exist(place, recipe, command) -> None:
    check(command, recipe)


@pytest.mark.parametrize(
    "command",
    [
        "sv embed --modell exp/exu_net a.wav out.ark",
        "sv embed a.wav out.ark",
        "sv embde --model x a.wav out.ark",
        "./run.sh --snr 5",
        "./run.sh --nj many",
        "./run.sh --config conf/exu_nett.toml",
        "make dcos",
        "local/import_data_dir.py --njobs 3 a b",
        "utils/slurm.py --memory 4G JOB=1:2 a/x.JOB.log true",
        "utils/slrum.py JOB=1:2 a/x.JOB.log true",
        "nosuchprogram",
    ],
)
def test_what_is_not_there_is_found(command) -> None:
    with pytest.raises((AssertionError, ValueError, SystemExit)):
        check(command, "voxceleb1")


def test_blocks_are_found_with_their_lines(tmp_path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n    sv metrics trials scores   # of any toolkit\n\n```console\n$ cd x && \\\n>   ls\na\n$ pwd\n```\n"
        "\n```toml\n# conf/x.toml\na = 1\n```\n\n    text  of no command\n\n```sh\nsv models \\\n  list\n```\n"
    )
    indented, console, toml, _, shell = found = blocks.blocks_of(page)
    assert [block.line for block in found] == [3, 6, 13, 17, 20]
    assert list(blocks.commands_of(indented)) == [(3, "sv metrics trials scores")]
    assert list(blocks.typed(console)) == [("cd x && \\\n  ls", ["a"]), ("pwd", [])]
    assert (toml.file, console.file) == ("conf/x.toml", None)
    assert [text for _, text in blocks.commands_of(shell)] == ["sv models list"]


def test_the_descriptions_of_the_documentation_are_read() -> None:
    found = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "models.md").read_text(), flags=re.DOTALL)
    kinds = [CommandDescription if "command" in block else OnnxDescription for block in found]
    assert kinds == [OnnxDescription, CommandDescription]
    for kind, block in zip(kinds, found):
        from_dict(kind, tomllib.loads(block), "docs/models.md")


def test_every_command_has_a_page_with_all_of_its_options() -> None:
    pages = dict(reference.command_pages())
    assert pages.keys() == {"commands.md", *(f"commands/{name}.md" for name in COMMANDS | STAGE_COMMANDS)}
    for name in COMMANDS:
        parser = parsers.parser_of_command(name)
        for own in (parser, *(each for *_, each in parsers.subparsers(parser))):
            for action in parsers.arguments(own):
                assert f"`{parsers.spelling(action)}`" in pages[f"commands/{name}.md"]
                assert "%(" not in parsers.meaning(own, action)


def test_a_recipe_has_a_page_with_its_help() -> None:
    pages = dict(reference.recipe_pages())
    text = pages["recipes/own.md"]
    assert "Stage                 reads" in text
    assert "`--corpus`\n: a folder of speakers, or a table" in text
    assert "`--draws`\n: draws of whatever is random" in text and "(1)" in text


def test_the_site_builds_without_warnings(tmp_path) -> None:
    for package in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(package, reason="needs the extra docs: make docs")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", ROOT / "docs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "generated" / "api" / "sv.embed.api.html").is_file()
