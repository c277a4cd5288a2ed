import pytest

from sv.results.comparison import compare
from sv.results.rows import COMPARED


def test_back_ends_and_test_sets_are_compared_apart(row) -> None:
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
