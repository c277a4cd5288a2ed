import importlib
import tomllib
from pathlib import Path

import pytest

from sv import __version__
from sv.__main__ import COMMANDS, STAGE_COMMANDS, main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", [*COMMANDS, *STAGE_COMMANDS])
def test_every_command_has_help_with_an_example(command, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: sv {command} ")
    assert f"\nsv {command} " in said


@pytest.mark.parametrize("command", [*COMMANDS, *STAGE_COMMANDS])
def test_abbreviated_and_unknown_options_are_wrong_usage(command, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        importlib.import_module(f"sv.bin.{command.replace('-', '_')}").main(["--no-such-option"])
    assert exit_.value.code == 2
    assert capsys.readouterr().err


def test_help_lists_the_commands(capsys) -> None:
    main(["--help"])
    said = capsys.readouterr().out
    assert all(f"  {command} " in said for command in [*COMMANDS, *STAGE_COMMANDS])


def test_every_module_of_sv_bin_is_a_command() -> None:
    modules = {path.stem for path in (ROOT / "sv" / "bin").glob("*.py")} - {
        "__init__",
        "calibration",
        "common",
        "options",
        "training",
    }
    assert modules == {command.replace("-", "_") for command in COMMANDS.keys() | STAGE_COMMANDS.keys()}
    assert not COMMANDS.keys() & STAGE_COMMANDS.keys()


def test_the_version_is_the_packages(capsys) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"sv {__version__}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "sv.__version__"}


@pytest.mark.parametrize(("argv", "message"), [([], "usage: sv COMMAND"), (["embde"], "sv: unknown command 'embde'")])
def test_no_or_an_unknown_command_is_wrong_usage(argv, message, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith(message)


def test_the_command_line_is_read_if_no_arguments_are_given(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["sv", "--help"])
    main()
    assert capsys.readouterr().out.startswith("usage: sv COMMAND")
