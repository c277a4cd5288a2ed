import importlib

import pytest

from sv.__main__ import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: sv {command} ")
    assert f"\nsv {command} " in said


@pytest.mark.parametrize("command", COMMANDS)
def test_abbreviated_and_unknown_options_are_wrong_usage(command, capsys) -> None:
    with pytest.raises(SystemExit) as exit_:
        importlib.import_module(f"sv.bin.{command}").main(["--no-such-option"])
    assert exit_.value.code == 2
    assert capsys.readouterr().err


def test_help_lists_the_commands(capsys) -> None:
    main(["--help"])
    said = capsys.readouterr().out
    assert all(f"  {command} " in said for command in COMMANDS)


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
