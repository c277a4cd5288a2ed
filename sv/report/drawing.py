"""Drawing of the report's figures: colours, style, and the <svg> element that goes into the page."""

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, RED, GREY = "#0b6e99", "#d9730d", "#4d7c3a", "#8a4b9e", "#b0413e", "#6b6b6b"
MIDDLE_GREY, LIGHT_GREY, GRID_GREY = "#888", "#bbb", "#e3e3e3"
SYSTEM_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)  # in order
NUM_BINS = 40  # of histograms
STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID_GREY,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.parse_math": False,  # names of systems, noises and speakers may hold dollar signs
    "figure.constrained_layout.use": True,
}


def colour_of(index: int) -> str:
    """Colour of a system by its place."""
    return SYSTEM_COLOURS[index % len(SYSTEM_COLOURS)]


@contextmanager
def new_axes(width: float, height: float, grid: bool = True) -> Iterator[Axes]:
    """Axes of a new figure in the report's style, which holds inside the block; sizes in inches."""
    with matplotlib.rc_context(STYLE | {"axes.grid": grid}):
        yield Figure(figsize=(width, height)).subplots()


def to_svg(axis: Axes, title: str) -> Markup:
    """Drawing of the axes' figure as an <svg> element that scales to its container; `title` is for screen readers."""
    out = io.StringIO()
    axis.figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    opening, _, rest = svg[svg.index("<svg") :].partition(">")
    # Without its size in points, the drawing takes the width of the page; the view box keeps its proportions.
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    return Markup(f'{opening} role="img" aria-label="{html.escape(title)}">{rest}')
