"""Content of the report as plain records; page.html.j2 says how each looks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from markupsafe import Markup

from sv.base.layout import FAR
from sv.report.drawing import ORANGE, colour_of, css_colour
from sv.results.conditions import condition_label, kind_of, snr_label
from sv.results.means import MEAN15, mean15
from sv.results.rows import Row


@dataclass(frozen=True)
class Text:
    """Paragraph; `look` is a class of the style sheet: small, note, verdict, or none."""

    kind: ClassVar[str] = "text"
    text: str
    look: str = "small"


@dataclass(frozen=True)
class Command:
    """Paragraph with a command line between two texts."""

    kind: ClassVar[str] = "command"
    before: str
    command: str
    after: str


@dataclass(frozen=True)
class Key:
    """Colours of the systems: (colour, name) of each."""

    kind: ClassVar[str] = "key"
    entries: list[tuple[str, str]]


@dataclass(frozen=True)
class Heading:
    """Heading within a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Bar:
    """Table cell that is a bar."""

    kind: ClassVar[str] = "bar"
    width_rem: float


@dataclass(frozen=True)
class Sounds:
    """Table cell of recordings: (id, address of its audio relative to the page, or nothing) of each."""

    kind: ClassVar[str] = "sounds"
    clips: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """Table whose first columns hold words, the others numbers; it scrolls sideways where it has to."""

    kind: ClassVar[str] = "table"
    header: Sequence[str]
    rows: Sequence[Sequence[str | Bar | Sounds]]
    num_words: int = 1


@dataclass(frozen=True)
class Figure:
    """Drawing of our own, which needs no escaping, and the values that it shows, for who cannot point at it.

    Attributes
    ----------
    title : str
        Names the drawing; its address in the page is made of it.
    svg : Markup
    values : Table
    """

    kind: ClassVar[str] = "figure"
    title: str
    svg: Markup
    values: Table


@dataclass(frozen=True)
class Cell:
    """Cell of a matrix: text, small print below it, class of the style sheet, background colour."""

    text: str
    small: str = ""
    look: str = ""
    background: str = ""


@dataclass(frozen=True)
class Matrix:
    """Noise types down, SNRs across, means at the right; conditions without an SNR above.

    Attributes
    ----------
    columns : list of str
        Headers, without that of the means.
    has_means : bool
        The last cell of each line is a mean.
    plain : list of (condition, cell)
        Conditions without an SNR, clean speech first; each in a line of its own.
    lines : list of (noise type, cells)
        A cell is None where nothing was measured.
    """

    kind: ClassVar[str] = "matrix"
    columns: list[str]
    has_means: bool
    plain: list[tuple[str, Cell]]
    lines: list[tuple[str, list[Cell | None]]]


@dataclass(frozen=True)
class Details:
    """Text that is folded away under a summary."""

    kind: ClassVar[str] = "details"
    summary: str
    text: str


@dataclass(frozen=True)
class Panel:
    """Titled blocks that stay together on paper."""

    kind: ClassVar[str] = "panel"
    title: str
    blocks: "Sequence[Block]"


@dataclass(frozen=True)
class Grid:
    """Blocks in as many columns as the screen is wide."""

    kind: ClassVar[str] = "grid"
    blocks: "Sequence[Block]"


Block = Text | Command | Key | Heading | Figure | Table | Matrix | Details | Panel | Grid


@dataclass(frozen=True)
class Section:
    """Section of the page; it is left out if it has no blocks.

    Attributes
    ----------
    heading : str
    blocks : sequence of Block
    essential : bool
        Others are folded where the screen is narrow.
    """

    heading: str
    blocks: Sequence[Block] = field(default_factory=list)
    essential: bool = False


def figure_grid(drawings: Sequence[Figure | None]) -> list[Block]:
    """One grid of the figures that are there; no block if none is."""
    figures = [figure for figure in drawings if figure]
    return [Grid(figures)] if figures else []


def colour_key(names: Sequence[str]) -> Key:
    """Key to the colours of systems, in their order."""
    return Key([(css_colour(colour_of(i)), name) for i, name in enumerate(names)])


def matrix(conditions: Sequence[tuple[Row, object]], cell: Callable[[Sequence], Cell]) -> Matrix:
    """Arrange values by noise type and SNR.

    Parameters
    ----------
    conditions : sequence of (Row, value)
        The row says which condition the value belongs to.
    cell : callable
        Of the values of one condition, or of several for their mean.
    """
    plain = [(condition_label(row), cell([value])) for row, value in conditions if row["snr_db"] is None]
    noisy = {(kind_of(row), row["snr_db"]): value for row, value in conditions if row["snr_db"] is not None}
    noises = list(dict.fromkeys(noise for noise, _ in noisy))
    snrs = sorted({snr for _, snr in noisy}, reverse=True)
    has_means = len(noisy) > 1
    lines = []
    for noise in noises:
        values = [noisy.get((noise, snr)) for snr in snrs]
        mean = [cell([value for value in values if value is not None])] if has_means else []
        lines.append((noise, [None if value is None else cell([value]) for value in values] + mean))
    added = [noise for noise in noises if not noise.startswith(f"{FAR} ")] or noises
    if len(added) > 1:
        own = {key: value for key, value in noisy.items() if key[0] in added}
        lines.append(_mean_line([row for row, _ in conditions], own, snrs, cell))
    return Matrix([snr_label(snr) for snr in snrs], has_means, plain, lines)


def _mean_line(
    rows: Sequence[Row], noisy: Mapping[tuple[str, float], object], snrs: Sequence[float], cell: Callable
) -> tuple[str, list[Cell | None]]:
    """Last line of a matrix: mean15 where it is there, else the mean over all types of added noise, or of far speech alone."""
    papers = {(kind_of(row), row["snr_db"]) for row in mean15(rows)}
    own = {key: value for key, value in noisy.items() if key in papers or not papers}
    columns = [[value for (_, at), value in own.items() if at == snr] for snr in snrs]
    cells = [cell(values) if values else None for values in columns]
    return MEAN15 if papers else "mean", [*cells, cell(list(own.values()))]


def brief(value: float) -> str:
    """Number in two digits, for small print: 12, 3.4, .56."""
    digits = 0 if abs(value) >= 9.95 else 1 if abs(value) >= 0.995 else 2
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if digits == 2 and float(text) else "0" if digits == 2 else text


def signed(value: float, digits: int) -> str:
    """Number with its sign, a proper minus."""
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def shade(value: float, highest: float) -> str:
    """Background colour that darkens with the value, as #rrggbbaa."""
    opacity = 0.45 * min(1.0, value / highest) if highest > 0 else 0.0
    return f"{ORANGE}{round(255 * opacity):02x}"
