"""Standard output whose reader may leave, as `head` does."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def until_nobody_reads() -> Iterator[None]:
    """Run a program's block; a reader of its output that has seen enough ends it with code 1 and no word.

    Errors of the block, and its own exit, stay as they are. Output that cannot be written is one line on stderr.
    """
    try:
        yield
    except BrokenPipeError:
        _discard_output()
        sys.exit(1)
    except BaseException:
        _flush()
        raise
    if code := _flush():
        sys.exit(code)


def _flush() -> int | str:
    """Write what is still in memory; 0 or, if that fails, what to exit with: Python must not complain again at its end."""
    try:
        if sys.stdout is not None:  # as it is where a shell closed it, `>&-`
            sys.stdout.flush()
    except OSError as error:
        _discard_output()
        return 1 if isinstance(error, BrokenPipeError) else f"error: output: {error.strerror}"
    return 0


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
