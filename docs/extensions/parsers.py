"""Parsers of the commands, taken from the commands themselves."""

import argparse
import importlib
from collections.abc import Callable, Iterator
from unittest import mock


class _Found(BaseException):
    """Parser that a command made, raised through whatever the command catches."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def parser_of(main: Callable[[list[str]], object]) -> argparse.ArgumentParser:
    """Parser that a command's `main` makes; nothing is parsed, nothing is done."""

    def stop(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise _Found(parser)

    with mock.patch.multiple(argparse.ArgumentParser, parse_args=stop, parse_known_args=stop):
        try:
            main([])
        except _Found as found:
            return found.parser
    raise ValueError(f"{main.__module__} parses nothing")


def parser_of_command(name: str) -> argparse.ArgumentParser:
    """Parser of `sv NAME`."""
    return parser_of(importlib.import_module(f"sv.bin.{name.replace('-', '_')}").main)


def subparsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, help and parser of each command that a parser knows; none of most."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, own in action.choices.items():
                yield name, helps.get(name, ""), own


def arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Arguments and options of a parser, but for --help and the choice of a command."""
    skipped = (argparse._HelpAction, argparse._SubParsersAction)
    return (action for action in parser._actions if not isinstance(action, skipped))


def spelling(action: argparse.Action) -> str:
    """Argument as the usage shows it: `--model MODEL`, `[a.wav ...]`."""
    formatter = argparse.HelpFormatter("")
    if not action.option_strings:
        return formatter._format_args(action, formatter._get_default_metavar_for_positional(action))
    value = ""
    if action.nargs != 0:
        value = " " + formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
    return ", ".join(f"{option}{value}" for option in action.option_strings)


def meaning(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Help of an argument, with its default where the help names it."""
    return parser._get_formatter()._expand_help(action) if action.help else ""
