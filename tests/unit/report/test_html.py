import pytest

from sv.report.html import brief, matrix, shade, signed, table


def row(noise: str | None = None, snr_db: float | None = None) -> dict:
    return {"noise": noise, "snr_db": snr_db}


def cell(values) -> tuple[str, str, str]:
    return f"{sum(values)}", "n" if len(values) == 1 else "", ""


def test_a_matrix_by_hand() -> None:
    conditions = [(row(), 1), (row("rain", 5.0), 2), (row("rain", 20.0), 3), (row("a<b", 5.0), 4)]
    assert matrix(conditions, cell, "dB") == (
        '<table class="matrix">'
        '<tr><th>dB</th><th>20 dB</th><th>5 dB</th><th class="mean">mean</th></tr>'
        '<tr><th>clean</th><td colspan="3">1<small>n</small></td></tr>'
        '<tr><th>rain</th><td>3<small>n</small></td><td>2<small>n</small></td><td class="mean">5</td></tr>'
        '<tr><th>a&lt;b</th><td>-</td><td>4<small>n</small></td><td class="mean">4<small>n</small></td></tr>'
        '<tr><th>mean</th><td>3<small>n</small></td><td>6</td><td class="mean">9</td></tr>'
        "</table>"
    )


def test_clean_alone_is_one_cell() -> None:
    assert matrix([(row(), 1)], cell, "") == (
        '<table class="matrix"><tr><th></th></tr><tr><th>clean</th><td>1<small>n</small></td></tr></table>'
    )


def test_a_cell_has_a_class_or_a_style() -> None:
    assert '<td class="better">' in matrix([(row(), 1)], lambda values: ("1", "", "better"), "")
    assert '<td style="background:rgba(217,115,13,0.45)">' in matrix([(row(), 1)], lambda _: ("1", "", shade(3, 3)), "")
    assert shade(1, 0).endswith(",0.00)")


def test_words_and_numbers_are_told_apart_and_escaped() -> None:
    assert table(["a", "b"], [["x<y", "1"]]) == (
        '<div class="scroll"><table class="numbers"><thead><tr><th class="words">a</th><th>b</th></tr></thead>'
        '<tbody><tr><td class="words">x&lt;y</td><td>1</td></tr></tbody></table></div>'
    )


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
