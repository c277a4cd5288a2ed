"""Numbers that people type: one notation and stated ranges, for options of every command and recipe.

A whole number is written in ASCII digits without a sign or leading zeros (08 could be meant in octal), a real number as 0.5,
.5 or 1e-3. No blanks, no inf, no nan.
"""

import argparse
import math
import re
from collections.abc import Callable

WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
REAL = re.compile(r"-?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")


class NumberError(argparse.ArgumentTypeError, ValueError):
    """Text that is not the number wanted; argparse shows the message after the option's name."""


def whole(least: int, most: int = 10**9) -> Callable[[str], int]:
    """Make the reader of a whole number within a range, ends included; it raises NumberError."""

    def read(text: str) -> int:
        if not WHOLE.fullmatch(text) or not least <= int(text) <= most:
            raise NumberError(f"takes a whole number from {least} to {most}, got {text[:80]!r}")
        return int(text)

    return read


def real(
    least: float = -math.inf, most: float = math.inf, *, above: float | None = None, below: float | None = None
) -> Callable[[str], float]:
    """Make the reader of a finite number from `least` to `most`, or strictly `above` or `below`; it raises NumberError."""
    bounds = (f"from {least:g}" * (above is None and least > -math.inf), f"above {above:g}" if above is not None else "",
              f"to {most:g}" * (below is None and most < math.inf), f"below {below:g}" if below is not None else "")  # fmt: skip
    wanted = " ".join(["a number", *filter(None, bounds)])

    def read(text: str) -> float:
        number = float(text) if REAL.fullmatch(text) else math.nan
        inside = least <= number <= most and (above is None or number > above) and (below is None or number < below)
        if not (inside and math.isfinite(number)):
            raise NumberError(f"takes {wanted}, got {text[:80]!r}")
        return number

    return read


SEED = whole(0, 2**32 - 1)  # as far as NumPy's oldest generator goes
COUNT = whole(1)
COUNT_OR_NONE = whole(0)
SHARE = real(0, 1)
PROBABILITY = real(above=0, below=1)
POSITIVE = real(above=0)
NOT_NEGATIVE = real(0)


def count_or_share(text: str) -> float:
    """A number of speakers, or, written with a point, a share of them above 0 below 1; raises NumberError."""
    try:
        return PROBABILITY(text) if "." in text else COUNT_OR_NONE(text)
    except NumberError as error:
        raise NumberError(f"takes a whole number of speakers, or a share of them as 0.2, got {text[:80]!r}") from error
