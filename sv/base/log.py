"""Log lines to stderr; ranks other than 0 only speak up when something is wrong."""

import logging
import os
import sys


class _Stderr(logging.StreamHandler):
    """Writes to whatever sys.stderr is when the line is written."""

    @property
    def stream(self):
        return sys.stderr

    @stream.setter
    def stream(self, value: object) -> None:
        pass


def get_logger(name: str) -> logging.Logger:
    """A logger that writes `2026-01-31 12:00:00 INFO message` to stderr."""
    logger = logging.getLogger(name)
    if not logger.handlers:
        handler = _Stderr()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING)
    return logger
