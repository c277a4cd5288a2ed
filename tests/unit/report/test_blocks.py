import re

import pytest
from markupsafe import Markup

from sv.report.blocks import (
    Bar,
    Cell,
    Command,
    Details,
    Figure,
    Grid,
    Matrix,
    Panel,
    Section,
    Sounds,
    Table,
    Text,
    brief,
    colour_key,
    figure_grid,
    matrix,
    shade,
    signed,
)
from sv.report.page import render


def row(noise: str | None = None, snr_db: float | None = None) -> dict:
    return {"noise": noise, "snr_db": snr_db}


def cell(values) -> Cell:
    return Cell(f"{sum(values)}", small="n" if len(values) == 1 else "")


def html_of(block) -> str:
    """HTML of one block, without the newlines between tags."""
    page = render("title", [], [Section("heading", [block])])
    inside = re.search(r'<div class="body" id="heading">\n(.*?)\n?</div></details></section>', page, re.DOTALL)[1]
    return re.sub(r">\n+<", "><", inside)


def test_a_matrix_by_hand() -> None:
    found = matrix([(row(), 1), (row("rain", 5.0), 2), (row("rain", 20.0), 3), (row("a<b", 5.0), 4)], cell)
    assert html_of(found) == (
        '<table class="matrix">'
        '<tr><th></th><th>20 dB</th><th>5 dB</th><th class="mean">mean</th></tr>'
        '<tr><th>clean</th><td colspan="3">1<small>n</small></td></tr>'
        '<tr><th>rain</th><td>3<small>n</small></td><td>2<small>n</small></td><td class="mean">5</td></tr>'
        '<tr><th>a&lt;b</th><td>-</td><td>4<small>n</small></td><td class="mean">4<small>n</small></td></tr>'
        '<tr><th>mean</th><td>3<small>n</small></td><td>6</td><td class="mean">9</td></tr>'
        "</table>"
    )


def test_clean_alone_is_one_cell() -> None:
    assert html_of(matrix([(row(), 1)], cell)) == (
        '<table class="matrix"><tr><th></th></tr><tr><th>clean</th><td>1<small>n</small></td></tr></table>'
    )


def test_a_cell_has_a_class_or_a_background() -> None:
    assert '<td class="better">' in html_of(Matrix([], False, [("x", Cell("1", look="better"))], []))
    assert '<td style="background:#d9730d73">' in html_of(
        Matrix([], False, [("x", Cell("1", background=shade(3, 3)))], [])
    )
    assert '<td class="mean worse">' in html_of(Matrix(["a"], True, [], [("x", [None, Cell("1", look="worse")])]))
    assert shade(1, 0) == "#d9730d00"


def test_words_and_numbers_are_told_apart_and_escaped() -> None:
    assert html_of(Table(["a", "b"], [["x<y", "1"]])) == (
        '<div class="scroll"><table class="numbers"><thead><tr><th class="words">a</th><th>b</th></tr></thead>'
        '<tbody><tr><td class="words">x&lt;y</td><td>1</td></tr></tbody></table></div>'
    )
    assert '<table class="facts">' in html_of(Table(["a"], [["b"]]))
    assert '<td>a</td><td class="words"><span class="bar" style="width:2.50rem"></span></td>' in html_of(
        Table(["", ""], [["a", Bar(2.5)]], num_words=0)
    )


HOSTILE = "<script>alert('x')</script>"


@pytest.mark.parametrize(
    "block",
    [
        Text(HOSTILE),
        Command(HOSTILE, HOSTILE, HOSTILE),
        colour_key([HOSTILE]),
        Table([HOSTILE], [[HOSTILE]]),
        Matrix(
            [HOSTILE],
            False,
            [(HOSTILE, Cell(HOSTILE, HOSTILE, HOSTILE, HOSTILE))],
            [(HOSTILE, [Cell(HOSTILE, HOSTILE)])],
        ),
        Details(HOSTILE, HOSTILE),
        Panel(HOSTILE, [Text(HOSTILE)]),
        Grid([Panel(HOSTILE, [Text(HOSTILE)])]),
    ],
    ids=lambda block: block.kind,
)
def test_everything_is_escaped(block) -> None:
    page = render(HOSTILE, [block], [Section(HOSTILE, [block])])
    assert "<script" not in page and "&lt;script&gt;" in html_of(block)


def test_drawings_are_not_and_absent_ones_are_left_out() -> None:
    drawn = Figure("a <b>", Markup("<svg></svg>"), Table(["x"], [["<y>"]]))
    found = html_of(drawn)
    assert found.startswith('<figure id="a-b"><svg></svg><figcaption><a href="#a-b">a &lt;b&gt;</a></figcaption>')
    assert found.endswith("</tbody></table></div></details></figure>") and "&lt;y&gt;" in found
    assert "&lt;svg" in html_of(Figure("a", "<svg></svg>", Table([], [])))
    assert figure_grid([None, drawn]) == [Grid([drawn])]
    assert figure_grid([None]) == []


def test_recordings_that_can_be_heard_have_players_and_others_a_name() -> None:
    found = html_of(Table(["x", "y"], [[Sounds([("<a>", "a/1.flac"), ("b", "")]), "1"]]))
    assert found.count("<audio") == 1
    assert (
        '<audio controls preload="none" src="a/1.flac" aria-label="&lt;a&gt;"></audio><span class="clip">b</span>'
        in found
    )


def test_headings_that_look_alike_have_addresses_of_their_own() -> None:
    page = render("title", [], [Section(heading, [Text("x")]) for heading in ("A b", "a-b", "a b 2", "?", "!")])
    assert re.findall(r'<div class="body" id="([^"]*)"', page) == ["a-b", "a-b-2", "a-b-2-2", "part", "part-2"]


def test_line_ends_within_cells_and_texts_are_kept() -> None:
    assert '<td class="words">a\nb</td>' in html_of(Table(["x", "y"], [["a\nb", "1"]]))
    assert "<pre>{\n a\n}</pre>" in html_of(Details("x", "{\n a\n}"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.34, "12"),
        (9.96, "10"),
        (9.94, "9.9"),
        (1.0, "1.0"),
        (0.996, "1.0"),
        (0.5, ".50"),
        (0.001, "0"),
        (0.0, "0"),
        (100, "100"),
    ],
)
def test_small_print_has_two_digits(value, text) -> None:
    assert brief(value) == text


def test_signs_are_always_there() -> None:
    assert (signed(-1.25, 1), signed(1.26, 1), signed(0, 1)) == ("\u22121.2", "+1.3", "+0.0")
