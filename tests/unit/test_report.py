import pytest

from sv.report import (
    compare,
    condition_label,
    condition_order,
    footnotes,
    markdown_table,
    short_commit,
    table_body,
    text_table,
    update_markdown,
)


def row(system: str, noise: str | None = None, snr_db: float | None = None, eer: float = 10.0, **changes) -> dict:
    condition = "clean" if noise is None else f"{noise}-snr{snr_db:g}"
    return {
        "system": system, "test_set": "test", "condition": condition, "noise": noise, "snr_db": snr_db,
        "backend": "cosine", "num_target": 5, "num_nontarget": 7, "eer": eer, "eer_low": eer - 1, "eer_high": eer + 2,
        "min_dcf": {"0.01": eer / 10, "0.05": eer / 25}, "trials_sha256": "t" * 64, "checkpoint_sha256": "c" * 64,
        "commit": "abcdef0123456789-dirty", "seed": 0,
    } | changes  # fmt: skip


@pytest.fixture
def systems() -> list[list[dict]]:
    conditions = [("babble", 0.0), (None, None), ("noise", 20.0), ("noise", 0.0), ("wind", 5.0)]
    return [
        [row(name, noise, snr, eer=base + i) for i, (noise, snr) in enumerate(conditions)]
        for name, base in (("ours", 2.0), ("baseline", 4.0))
    ]


def test_conditions_go_from_clean_by_noise_type_to_low_snr(systems) -> None:
    (comparison,) = compare(systems)
    labels = [condition_label(rows[0]) for rows in comparison.conditions]
    assert labels == ["clean", "noise 20 dB", "noise 0 dB", "babble 0 dB", "wind 5 dB"]
    assert comparison.noises == ["noise", "babble", "wind"]
    assert condition_order(row("a")) < condition_order(row("a", "noise", 99.0))


def test_cells_by_hand(systems) -> None:
    body = table_body(compare(systems)[0])
    assert body[0] == ["clean", "3.00", "[2.0, 5.0]", "0.300", "0.120", "5.00", "[4.0, 7.0]", "0.500", "0.200"]
    # Of the four noisy conditions: EERs 2, 4, 5, 6 and two more for the baseline.
    assert body[-1] == ["mean of 4 noisy", "4.25", "", "0.425", "0.170", "6.25", "", "0.625", "0.250"]


def test_a_condition_that_one_system_lacks_is_shown_but_not_averaged(systems) -> None:
    del systems[1][0]  # babble
    body = table_body(compare(systems)[0])
    assert ["babble 0 dB", "2.00", "[1.0, 4.0]", "0.200", "0.080", "-", "-", "-", "-"] in body
    assert body[-1][:2] == ["mean of 3 noisy", "5.00"]


def test_clean_alone_has_no_mean() -> None:
    assert [cells[0] for cells in table_body(compare([[row("a")]])[0])] == ["clean"]


def test_back_ends_and_test_sets_are_compared_apart() -> None:
    rows = [row("a"), row("a", backend="plda"), row("a", test_set="other")]
    found = [(comparison.test_set, comparison.backend) for comparison in compare([rows])]
    assert found == [("test", "cosine"), ("test", "plda"), ("other", "cosine")]


def test_other_trials_do_not_share_a_table(systems) -> None:
    systems[1][2]["trials_sha256"] = "u" * 64
    message = "ours and baseline cannot share a table: test noise-snr20 was scored on different trials"
    with pytest.raises(ValueError, match=message):
        compare(systems)


def test_text_table_is_aligned_under_the_names(systems) -> None:
    lines = text_table(compare(systems)[0]).splitlines()
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[0].split() == ["ours", "baseline"]
    assert lines[1].split() == ["condition", *("EER % [95 %] minDCF .01 minDCF .05".split() * 2)]
    assert [line.split()[0] for line in lines[3:]] == ["clean", "noise", "noise", "babble", "wind", "mean"]
    ends = [lines[1].index("minDCF .05") + 10, len(lines[1])]
    assert lines[0].index("baseline") >= ends[0]


def test_a_long_name_widens_its_columns() -> None:
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
        "ours: 5 target and 7 nontarget trials (tttttttttttt), checkpoint cccccccccccc, commit abcdef012345-dirty, seed 0"
    )
    assert short_commit(None) == "unknown"


def test_generated_block_is_replaced_and_nothing_else(tmp_path) -> None:
    path = tmp_path / "RESULTS.md"
    update_markdown(path, "a", "old")
    path.write_text(f"Before.\n\n{path.read_text()}\nAfter.\n")
    update_markdown(path, "b", "other")
    update_markdown(path, "a", "new")
    text = path.read_text()
    assert "old" not in text
    begin = "<!-- generated from results.json of a: begin -->"
    assert f"{begin}\nnew\n<!-- generated from results.json of a: end -->\n\nAfter.\n" in text
    assert text.startswith("Before.\n\n# Results\n")
    assert text.index("new") < text.index("other")
    update_markdown(path, "a", "new")
    assert path.read_text() == text


def test_a_block_without_end_is_refused(tmp_path) -> None:
    path = tmp_path / "RESULTS.md"
    update_markdown(path, "a", "text")
    path.write_text(path.read_text().replace(": end -->", ""))
    with pytest.raises(ValueError, match=r"RESULTS.md: the line .*of a: end -->' is missing"):
        update_markdown(path, "a", "new")
    assert "text" in path.read_text()
