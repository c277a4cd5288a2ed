"""What the commands share: errors in one line, and the options of array jobs."""

import argparse
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

EXPECTED = (ValueError, KeyError, OSError)  # what our own checks raise: bad data, bad configuration, files


def fail_in_one_line(main: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the errors of our own checks into one line on stderr and exit code 1; others keep their traceback."""

    @wraps(main)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return main(*args, **kwargs)
        except EXPECTED as error:
            text = error.args[0] if isinstance(error, KeyError) else error
            sys.exit(f"error: {text}")

    return guarded


def allow_pipes_option(parser: argparse.ArgumentParser) -> None:
    """Add --allow-pipes, which utils/copy-feats and its kin have too."""
    parser.add_argument(
        "--allow-pipes", action="store_true", help="let a wav.scp without cuts run its commands in a shell"
    )


def job_options(parser: argparse.ArgumentParser) -> None:
    """Add --job and --num-jobs."""
    parser.add_argument("--job", type=int, default=1, help="number of this job, from 1")
    parser.add_argument("--num-jobs", type=int, default=1, help="jobs that share the work")


def existing_scp(path: Path, remedy: str) -> Path:
    """The path if it is a file; else FileNotFoundError with the remedy."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not there; {remedy}")
    return path
