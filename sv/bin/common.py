"""Parts of every command: parser, options of array jobs, errors in one line; no torch, for a fast start."""

import argparse
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from sv.base.numbers import COUNT
from sv.base.output import until_nobody_reads

EXPECTED = (ValueError, KeyError, OSError)  # what our own checks raise: bad data, bad configuration, files


def command_parser(name: str, doc: str) -> argparse.ArgumentParser:
    """Make the parser of `sv NAME`, whose help is the module's docstring."""
    raw = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"sv {name}", description=doc, formatter_class=raw, allow_abbrev=False)


def allow_pipes_option(parser: argparse.ArgumentParser) -> None:
    """Add --allow-pipes, which utils/copy-feats and its kin have too."""
    parser.add_argument(
        "--allow-pipes", action="store_true", help="let a wav.scp without cuts run its commands in a shell"
    )


def job_options(parser: argparse.ArgumentParser) -> None:
    """Add --job and --num-jobs."""
    parser.add_argument("--job", type=COUNT, default=1, help="number of this job, from 1")
    parser.add_argument("--num-jobs", type=COUNT, default=1, help="jobs that share the work")


def fail_in_one_line(main: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the errors of our own checks into one line on stderr and exit code 1; others keep their traceback.

    A reader of the output that has seen enough, as `| head -1`, ends the command as `until_nobody_reads` says.
    """

    @wraps(main)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with until_nobody_reads():
            try:
                return main(*args, **kwargs)
            except BrokenPipeError:
                raise
            except EXPECTED as error:
                text = str(error.args[0] if isinstance(error, KeyError) else error)
                sys.exit(f"error: {text if len(text) <= 1500 else f'{text[:1000]} ... {text[-300:]}'}")

    return guarded
