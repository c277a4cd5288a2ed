"""Progress of long loops: a bar on a terminal, and a line now and then in a log, which the recipes' own display reads."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

EVERY = 5.0  # seconds between the lines of a log

Item = TypeVar("Item")


def counted(items: Iterable[Item], total: int, title: str, unit: str) -> Iterator[Item]:
    """Pass items on, and say how far it is.

    Parameters
    ----------
    items : iterable
    total : int
        Number of the items.
    title, unit : str
        One word each: what is counted of which, as in `voxceleb1_dev: 300 of 148642 files`.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=title, unit=unit.removesuffix("s"))
        return
    said = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            print(f"{title}: {count} of {total} {unit}", flush=True)
