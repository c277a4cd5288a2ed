import pytest

from sv.results.tables import (
    BACKEND_COLUMNS,
    COMPARED,
    backend_table,
    compare,
    condition_label,
    condition_order,
    footnotes,
    markdown_table,
    short_commit,
    table_body,
    text_table,
)


def row(system: str, noise: str | None = None, snr_db: float | None = None, eer: float = 10.0, **changes) -> dict:
    condition = "clean" if noise is None else f"{noise}-snr{snr_db:g}"
    return {
        "system": system, "test_set": "test", "condition": condition, "noise": noise, "snr_db": snr_db,
        "backend": "cosine", "num_target": 5, "num_nontarget": 7, "eer": eer, "eer_low": eer - 1, "eer_high": eer + 2,
        "min_dcf": {"0.01": eer / 10, "0.05": eer / 25}, "act_dcf": None, "cllr": None, "min_cllr": eer / 16,
        "trials_sha256": "a" * 64, "num_dropped": 1, "crop_scheme": "segment_samples 100", "normalisation": "none",
        "calibration": "none", "operating_points": ["0.01", "0.05"], "checkpoint_sha256": "c" * 64,
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


@pytest.mark.parametrize("field", COMPARED)
def test_other_stamps_do_not_share_a_table_unless_it_is_said(systems, field) -> None:
    for one in systems[1]:  # all of its conditions alike, or they would not be of one run
        one[field] = "other"
    message = rf"ours and baseline cannot share a table: on test \w+-?\w* \(cosine\) {field} is .* and other"
    with pytest.raises(ValueError, match=message):
        compare(systems)
    with pytest.raises(ValueError, match=message):
        compare(systems, [name for name in COMPARED if name != field])
    assert compare(systems, [field])[0].systems == ["ours", "baseline"]


def test_cohorts_are_each_systems_own_embeddings(systems) -> None:
    for rows, cohort, top_n in zip(systems, ("b36e7bbed853", "3692de45955b"), (300, 300)):
        for one in rows:
            one["normalisation"] = f"as-norm, top {top_n} of 1000, cohort {cohort}"
    assert len(compare(systems)) == 1
    for one in systems[1]:
        one["normalisation"] = "as-norm, top 200 of 1000, cohort 3692de45955b"
    with pytest.raises(ValueError, match=r"normalisation is as-norm, top 300 of 1000, .* and as-norm, top 200 of 1000"):
        compare(systems)


@pytest.mark.parametrize("field", ["checkpoint_sha256", "commit", "seed"])
def test_rows_of_two_runs_of_a_system_do_not_share_a_table(systems, field) -> None:
    systems[1][2][field] = "other"
    message = rf"rows of baseline cannot share a table: {field} is .* and other; run stage 7 again"
    with pytest.raises(ValueError, match=message):
        compare(systems)


def test_systems_differ_in_checkpoint_commit_and_seed(systems) -> None:
    for one in systems[1]:
        one |= {"checkpoint_sha256": "d" * 64, "commit": "fedcba", "seed": 1}
    assert len(compare(systems)) == 1


def test_back_ends_by_hand(systems) -> None:
    llrs = {"backend": "cosine-calibrated", "act_dcf": {"0.01": 0.5}, "cllr": 0.25, "calibration": "fitted"}
    for rows in systems:
        rows += [one | llrs for one in rows]
        rows.append(row(rows[0]["system"], test_set="other"))
    found = backend_table(compare(systems))
    assert [line[:2] for line in found] == [
        ["ours", "cosine"], ["baseline", "cosine"], ["ours", "cosine-calibrated"], ["baseline", "cosine-calibrated"],
    ]  # fmt: skip
    # Clean: an EER of 3; noisy: the mean of 2, 4, 5 and 6.
    assert found[0][2:] == ["3.00", "0.300", "-", "-", "0.188", "4.25", "0.425", "-", "-", "0.266"]
    assert found[2][2:] == ["3.00", "0.300", "0.500", "0.250", "0.188", "4.25", "0.425", "0.500", "0.250", "0.266"]
    assert {len(line) for line in found} == {len(BACKEND_COLUMNS)}
    assert backend_table(compare([[row("a")]]))[0][7:] == ["-"] * 5


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
        "ours: 5 target and 7 nontarget trials (aaaaaaaaaaaa, 1 dropped), segment_samples 100, checkpoint cccccccccccc, "
        "commit abcdef012345-dirty, seed 0"
    )
    assert short_commit("0123456789abcdef0123") == "0123456789ab"
    assert short_commit("release 0.1.0") == "release 0.1.0"
