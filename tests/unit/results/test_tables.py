from sv.results.comparison import compare
from sv.results.tables import (
    backend_table,
    footnotes,
    markdown_rows,
    markdown_table,
    short_commit,
    table_body,
    text_table,
)


def test_cells_by_hand(systems) -> None:
    body = table_body(compare(systems)[0])
    assert body[0] == ["clean", "3.00", "[2.0, 5.0]", "0.300", "0.120", "5.00", "[4.0, 7.0]", "0.500", "0.200"]
    # Noise at 20 and 0 dB: EERs 4 and 5, and two more for the baseline; of the other noises there is one condition each.
    assert body[5:] == [["mean of noise at 0, 20 dB", "4.50", "", "0.450", "0.180", "6.50", "", "0.650", "0.260"]]


def test_a_condition_that_one_system_lacks_is_shown_but_not_averaged(systems) -> None:
    del systems[1][3]  # noise 0 dB
    body = table_body(compare(systems)[0])
    assert ["noise 0 dB", "5.00", "[4.0, 7.0]", "0.500", "0.200", "-", "-", "-", "-"] in body
    assert body[-1] == ["mean of noise at 0, 20 dB", "4.50", "", "0.450", "0.180", "-", "-", "-", "-"]


def test_clean_alone_has_no_mean(row) -> None:
    assert [cells[0] for cells in table_body(compare([[row("a")]])[0])] == ["clean"]


def test_back_ends_by_hand(systems, row) -> None:
    llrs = {"backend": "cosine-calibrated", "act_dcf": {"0.01": 0.5}, "cllr": 0.25, "calibration": "fitted"}
    for rows in systems:
        rows += [one | llrs for one in rows]
        rows.append(row(rows[0]["system"], test_set="other"))
    header, *found = backend_table(compare(systems))
    assert [line[:2] for line in found] == [
        ["ours", "cosine"], ["baseline", "cosine"], ["ours", "cosine-calibrated"], ["baseline", "cosine-calibrated"],
    ]  # fmt: skip
    # Clean: an EER of 3; noisy: the mean of 2, 4, 5 and 6.
    assert found[0][2:] == ["3.00", "0.300", "-", "-", "0.188", "4.25", "0.425", "-", "-", "0.266"]
    assert found[2][2:] == ["3.00", "0.300", "0.500", "0.250", "0.188", "4.25", "0.425", "0.500", "0.250", "0.266"]
    assert {len(line) for line in found} == {len(header)}
    assert header[7] == "noisy EER %"
    assert backend_table(compare([[row("a")]]))[1][7:] == ["-"] * 5


def test_text_table_is_aligned_under_the_names(systems) -> None:
    lines = text_table(compare(systems)[0]).splitlines()
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[0].split() == ["ours", "baseline"]
    assert lines[1].split() == ["condition", *("EER % [95 %] minDCF .01 minDCF .05".split() * 2)]
    assert [line.split()[0] for line in lines[3:]] == ["clean", "noise", "noise", "babble", "wind", "mean"]
    ends = [lines[1].index("minDCF .05") + 10, len(lines[1])]
    assert lines[0].index("baseline") >= ends[0]


def test_a_long_name_widens_its_columns(row) -> None:
    name = "a_system_with_a_name_much_longer_than_all_of_its_columns_together"
    lines = text_table(compare([[row(name)], [row("b")]])[0]).splitlines()
    assert lines[0].strip().startswith(f"{name} ")
    assert len({len(line) for line in lines[1:]}) == 1


def test_markdown_table_has_one_line_a_condition(systems) -> None:
    lines = markdown_table(compare(systems)[0]).splitlines()
    assert lines[0].startswith("| condition | ours EER % | ours [95 %] | ours minDCF .01 |")
    assert {line.count("|") for line in lines} == {10}
    assert lines[2].startswith("| clean | 3.00 | [2.0, 5.0] | 0.300 |")


def test_footnotes_say_what_the_numbers_depend_on(systems) -> None:
    assert footnotes(systems)[0] == (
        "ours: 5 target and 7 nontarget trials (aaaaaaaaaaaa, 1 dropped), segment_samples 100, checkpoint cccccccccccc, "
        "commit abcdef012345-dirty, seed 0"
    )
    assert short_commit("0123456789abcdef0123") == "0123456789ab"
    assert short_commit("release 0.1.0") == "release 0.1.0"


def test_a_bar_in_a_name_does_not_end_its_cell() -> None:
    assert markdown_rows(["a", "b"], [["x|y", "1"]]).splitlines()[2] == r"| x\|y | 1 |"
