"""Line of progress: on a terminal the last one, drawn again every second; elsewhere one a minute, as an ordinary line."""

import os
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

SECOND, MINUTE = 1.0, 60.0
SHARE = 0.02  # of a processor that looking may take


@dataclass(frozen=True)
class Part:
    """Part of a line, in forms from the longest to the shortest.

    Attributes
    ----------
    forms : sequence of str
    rank : int
        What gives way first has the largest; two are lost with each form, and 0 never gives way.
    stays : bool
        Whether the shortest form is never left out.
    """

    forms: Sequence[str]
    rank: int = 0
    stays: bool = False


def columns(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def fitted(parts: Sequence[Part], width: int | None = None) -> str:
    """The parts in one line, the first as title of the others; what matters least gives way until `width` columns do."""
    used = [0] * len(parts)

    def line() -> str:
        title, *others = (part.forms[at] if at < len(part.forms) else "" for part, at in zip(parts, used))
        text = ": ".join(filter(None, (title, ", ".join(filter(None, others)))))
        return "".join(letter if letter.isprintable() else "?" for letter in text)

    while width is not None and columns(line()) > width:
        ranked = [at for at, part in enumerate(parts) if part.rank and used[at] + part.stays < len(part.forms)]
        if not ranked:
            break
        used[max(ranked, key=lambda at: (parts[at].rank - 2 * used[at], at))] += 1
    text = line()
    while width is not None and columns(text) > width:
        text = text[:-1]
    return text


def duration(seconds: float) -> str:
    """Seconds in words, as in `86 s`, `12 min` or `3 h 20 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


class Line:
    """The line that a terminal ends with; it gives way to other output of this process.

    Parameters
    ----------
    stream : text file, optional
        Stderr, if it is not given.
    """

    def __init__(self, stream: object = None) -> None:
        self.given = stream
        self.lock = threading.RLock()
        self.drawn = False

    @property
    def stream(self) -> object:
        """Stream that is written to."""
        return self.given or sys.stderr

    def is_terminal(self) -> bool:
        """True if a line can be drawn over itself there."""
        with suppress(OSError, ValueError):
            return os.isatty(self.stream.fileno()) and os.environ.get("TERM", "dumb") not in ("", "dumb")
        return False

    def in_foreground(self) -> bool:
        """False if another program has the terminal: this one was sent to the background."""
        try:
            return os.tcgetpgrp(self.stream.fileno()) == os.getpgrp()
        except OSError:  # not the terminal that controls us
            return True

    def draw(self, parts: Sequence[Part]) -> None:
        """Show parts, in place of what was shown before."""
        width = 0
        with suppress(OSError):
            width = os.get_terminal_size(self.stream.fileno()).columns
        self.write(f"\r{fitted(parts, (width or 80) - 1)}\x1b[K")  # the last column would move the cursor
        self.drawn = True

    def erase(self) -> None:
        """Leave an empty line."""
        if self.drawn:
            self.drawn = False
            self.write("\r\x1b[K")

    def write(self, text: str) -> None:
        """Write at once; a terminal that is gone is none of our business."""
        with suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()

    @contextmanager
    def given_way(self) -> Iterator[None]:
        """Keep the line away while the block writes."""
        with self.lock:
            self.erase()
            yield


LINE = Line()  # of stderr, where a launcher writes anything


@contextmanager
def shown(look: Callable[[], Sequence[Part]], since: float, line: Line = LINE) -> Iterator[None]:
    """Show what `look` says during the block.

    Parameters
    ----------
    look : callable
        Returns the parts of the line; it is called from a thread of its own.
    since : float
        Time in seconds since the epoch from which minutes count: nothing is said of what takes less, off a terminal.
    line : Line
    """
    ended = threading.Event()
    thread = threading.Thread(target=_show, args=(look, since, line, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        with line.lock:
            line.erase()
        thread.join(SECOND)


def _show(look: Callable[[], Sequence[Part]], since: float, line: Line, ended: threading.Event) -> None:
    is_terminal, pause = line.is_terminal(), SECOND
    minute = int((time.time() - since) // MINUTE)
    while not ended.wait(pause):
        now = int((time.time() - since) // MINUTE)
        if not is_terminal and now <= minute:
            continue
        minute, began = now, time.perf_counter()
        if is_terminal and not line.in_foreground():
            continue
        try:
            parts = look()
        except (OSError, ValueError):  # a file that is being made, or goes: the next look tells
            continue
        pause = max(SECOND, (time.perf_counter() - began) / SHARE)
        with line.lock:
            if ended.is_set():
                return
            if is_terminal:
                line.draw(parts)
            else:
                line.write(f"{time.strftime('%F %T')} {fitted(parts)}\n")
