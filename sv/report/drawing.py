"""Drawing of the report's figures: colours, style, and the <svg> element that goes into the page."""

import html
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, RED, GREY = "#0b6e99", "#d9730d", "#4d7c3a", "#8a4b9e", "#b0413e", "#6b6b6b"
MIDDLE_GREY, LIGHT_GREY, GRID_GREY = "#888888", "#bbbbbb", "#e3e3e3"
# Colours that the page's style sheet names, on white and on a dark screen.
PALETTE = {
    "blue": (BLUE, "#58b4dc"),
    "orange": (ORANGE, "#f0984a"),
    "green": (GREEN, "#93c47d"),
    "purple": (PURPLE, "#c592d9"),
    "red": (RED, "#ea8580"),
    "grey": (GREY, "#a9a9a9"),
    "middle": (MIDDLE_GREY, "#8c8c8c"),
    "light": (LIGHT_GREY, "#5a5a5a"),
    "grid": (GRID_GREY, "#393939"),
}
POINTS_PER_INCH = 72  # of a drawing's view box
RADIUS = 7  # points; what a finger or a mouse can hit
MOST_SPOTS = 60  # of a line
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
    "legend.fontsize": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "text.parse_math": False,  # names of systems, noises and speakers may hold dollar signs
    "figure.constrained_layout.use": True,
}


def colour_of(index: int) -> str:
    """Colour of a system by its place."""
    return SYSTEM_COLOURS[index % len(SYSTEM_COLOURS)]


def css_colour(colour: str) -> str:
    """Colour of the palette as the style sheet names it, so that it fits the screen; any other as it is."""
    return next((f"var(--{name})" for name, (own, _) in PALETTE.items() if own == colour), colour)


@dataclass(frozen=True)
class Spot:
    """Place of a drawing that tells its values when it is pointed at.

    Attributes
    ----------
    text : str
    x, y : float
        In the units of the axes.
    corner : (x, y), optional
        The place is the box between this and (x, y); by default a dot.
    """

    text: str
    x: float
    y: float
    corner: tuple[float, float] | None = None


def thinned(points: Sequence, most: int = MOST_SPOTS) -> list:
    """At most so many of the points, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[i] for i in np.linspace(0, len(points) - 1, most).round().astype(int)]


@contextmanager
def new_axes(width: float, height: float, grid: bool = True) -> Iterator[Axes]:
    """Axes of a new figure in the report's style, which holds inside the block; sizes in inches."""
    with matplotlib.rc_context(STYLE | {"axes.grid": grid}):
        yield Figure(figsize=(width, height)).subplots()


def to_svg(axis: Axes, title: str, spots: Sequence[Spot] = ()) -> Markup:
    """Drawing of the axes' figure as an <svg> element that scales to its container.

    Colours of the palette, and black, become those of the page's style sheet.

    Parameters
    ----------
    axis : Axes
    title : str
        For screen readers; no two drawings of a page have the same.
    spots : sequence of Spot
    """
    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": title}):  # ids of clips and markers are the page's, not the drawing's
        axis.figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    opening, _, rest = svg[svg.index("<svg") :].partition(">")
    # Without its size in points, the drawing takes the width of the page; the view box keeps its proportions.
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    drawn = _themed(_without_idle_ids(rest[: rest.rindex("</svg>")]))
    return Markup(f'{opening} role="img" aria-label="{html.escape(title)}">{drawn}{_hover(axis, spots)}</svg>')


def _without_idle_ids(svg: str) -> str:
    """The drawing without ids that nothing refers to: all drawings have the same."""
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', svg))
    return re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", svg)


def _themed(svg: str) -> str:
    """The drawing in colours of the style sheet; texts, which are not within tags, stay as they are."""
    colours = {own: f"var(--{name})" for name, (own, _) in PALETTE.items()} | {"#000000": "currentColor"}

    def in_tag(tag: re.Match) -> str:
        return re.sub(r"(?<=: )#[0-9a-f]{6}(?=[;\"])", lambda colour: colours.get(colour[0], colour[0]), tag[0])

    return re.sub(r"<[^>]*>", in_tag, svg)


def _hover(axis: Axes, spots: Sequence[Spot]) -> str:
    """Invisible marks above the spots, with their texts; the drawing has been laid out by now."""
    width, height = axis.figure.get_size_inches() * POINTS_PER_INCH
    place = axis.transData + axis.figure.transFigure.inverted()

    def at(x: float, y: float) -> tuple[float, float]:
        left, bottom = place.transform((x, y))
        return left * width, (1 - bottom) * height

    marks = []
    for spot in spots:
        x, y = at(spot.x, spot.y)
        if not (np.isfinite(x) and np.isfinite(y)):
            continue
        shape = f'circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}"'
        if spot.corner:
            (left, right), (top, bottom) = (sorted(pair) for pair in zip((x, y), at(*spot.corner)))
            shape = f'rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
        marks.append(f"<{shape}><title>{html.escape(spot.text)}</title></{shape.split()[0]}>")
    return f'<g class="spots">{"".join(marks)}</g>' if marks else ""
