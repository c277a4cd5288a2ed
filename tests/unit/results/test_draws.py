"""Spreads of error rates over draws, by hand."""

import pytest

from sv.results.comparison import compare
from sv.results.draws import draws_note, draws_table, spreads
from sv.results.means import means
from sv.results.tables import table_body, text_table

SNRS = (0.0, 5.0, 10.0, 15.0, 20.0)


def again(row: dict, draw: int, eer: float) -> dict:
    """The row of another draw of a condition, with intervals that nobody should show."""
    return row | {"condition": f"{row['condition']}-draw{draw}", "eer": eer, "eer_low": 0.0, "eer_high": 99.0}


@pytest.fixture
def drawn(row):
    """drawn(system): clean of EER 1; babble, music, noise at five SNRs, EERs 10, 20, 30; two further draws of the noises.

    In the second draw noise is 3 points worse, in the third music is 6 better and noise 3 worse.
    """

    def make(system: str) -> list[dict]:
        first = [
            row(system, kind, snr, eer=eer)
            for kind, eer in (("babble", 10.0), ("music", 20.0), ("noise", 30.0))
            for snr in SNRS
        ]
        change = {2: {"noise": 3.0}, 3: {"music": -6.0, "noise": 3.0}}
        further = [again(one, n, one["eer"] + change[n].get(one["noise"], 0.0)) for n in (2, 3) for one in first]
        return [row(system, eer=1.0), *first, *further]

    return make


def test_one_condition_by_hand_beside_the_interval_of_its_first_draw(row) -> None:
    first = row("a", "noise", 0.0, eer=10.0)
    rows = [row("a", eer=1.0), first, again(first, 2, 12.0), again(first, 3, 17.0)]
    # Mean 13; deviations -3, -1, 4: variance 26 / 2, its root 3.606.
    (comparison,) = compare([rows])
    assert draws_table(comparison) == [
        ["over draws", "a EER %", "a [95 %]"],
        ["noise 0 dB", "13.00 \u00b1 3.61 (3)", "[9.0, 12.0]"],
    ]
    assert len(draws_note(comparison)) == 1


def test_means_are_taken_within_each_draw(drawn) -> None:
    table = {cells[0]: cells[1:] for cells in draws_table(compare([drawn("a")])[0])}
    # mean15: (10 + 20 + 30) / 3, (10 + 20 + 33) / 3, (10 + 14 + 33) / 3 = 20, 21, 19; mean16: 15 / 16 of that and 1 / 16.
    assert table["mean15"] == ["20.00 \u00b1 1.00 (3)", ""]
    assert table["mean16"] == ["18.81 \u00b1 0.94 (3)", ""]
    assert table["mean of babble"] == ["10.00 \u00b1 0.00 (3)", ""]
    assert table["mean of noise"] == ["32.00 \u00b1 1.73 (3)", ""]  # 30, 33, 33
    assert table["music 5 dB"] == ["18.00 \u00b1 3.46 (3)", "[19.0, 22.0]"]  # 20, 20, 14
    assert "clean" not in table and len(table) == 1 + 15 + 5


def test_a_draw_that_lacks_a_condition_has_no_mean_of_it(drawn) -> None:
    rows = [one for one in drawn("a") if one["condition"] != "noise-snr5-draw3"]
    found = spreads(rows)
    assert found["mean15"] == [20.0, 21.0] and found["mean of noise"] == [30.0, 33.0]
    assert found["noise 5 dB"] == [30.0, 33.0] and found["mean of music"] == [20.0, 20.0, 14.0]


def test_what_is_not_random_is_the_same_in_all_means_and_has_no_spread(row) -> None:
    gsm, opus = (row("a", eer=eer) | {"condition": f"codec-{name}"} for name, eer in (("gsm", 4.0), ("opus", 2.0)))
    clip, far = row("a", eer=5.0) | {"condition": "clip"}, row("a", "b", 5.0) | {"condition": "far-b-snr5"}
    found = spreads([row("a"), gsm, opus, clip, far, again(clip, 2, 7.0), again(far, 2, 20.0)])
    assert found == {"clip": [5.0, 7.0], "far b 5 dB": [10.0, 20.0]}


def test_draws_change_no_other_table_and_not_their_order(drawn) -> None:
    rows = drawn("a")
    first = rows[:16]
    (with_draws,), (without,) = compare([rows[::-1]]), compare([first])
    assert table_body(with_draws) == table_body(without) and text_table(with_draws) == text_table(without)
    assert with_draws.conditions == without.conditions and len(with_draws.draws) == 30
    assert means(rows) == means(first)


def test_one_draw_has_no_spread(drawn, row) -> None:
    (comparison,) = compare([drawn("a")[:16]])
    assert draws_table(comparison) == draws_note(comparison) == []
    lone = again(row("a", "noise", 0.0), 2, 3.0)  # a further draw without a first
    assert spreads([row("a"), lone]) == {}


def test_systems_with_other_numbers_of_draws_share_the_table(drawn) -> None:
    few = [one for one in drawn("b") if not one["condition"].endswith("-draw3")]
    table = {cells[0]: cells[1:] for cells in draws_table(compare([drawn("a"), few, drawn("c")[:16]])[0])}
    # Of b mean15 is 20 and 21: the root of 1 / 2.
    assert table["mean15"] == ["20.00 \u00b1 1.00 (3)", "", "20.50 \u00b1 0.71 (2)", "", "-", ""]
    interval = "[9.0, 12.0]"
    assert table["babble 0 dB"] == ["10.00 \u00b1 0.00 (3)", interval, "10.00 \u00b1 0.00 (2)", interval, "-", interval]


def test_a_draw_of_other_trials_shares_no_table(drawn) -> None:
    other = [
        one | ({"trials_sha256": "b" * 64} if one["condition"] == "babble-snr0-draw2" else {}) for one in drawn("b")
    ]
    with pytest.raises(ValueError, match=r"a and b cannot share a table: on test babble-snr0-draw2 .* trials_sha256"):
        compare([drawn("a"), other])
