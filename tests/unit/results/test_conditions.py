import pytest

from sv.results.comparison import compare
from sv.results.conditions import condition_label, condition_order


def test_conditions_go_from_clean_by_noise_type_to_low_snr(systems, row) -> None:
    (comparison,) = compare(systems)
    labels = [condition_label(rows[0]) for rows in comparison.conditions]
    assert labels == ["clean", "noise 20 dB", "noise 0 dB", "babble 0 dB", "wind 5 dB"]
    assert comparison.noises == ["noise", "babble", "wind"]
    assert condition_order(row("a")) < condition_order(row("a", "noise", 99.0))


@pytest.mark.parametrize("noise", ["street noise", "Straße", "babble+music", "a-b", "<b>x</b>", "5 dB"])
def test_any_noise_is_labelled_as_its_user_names_it(noise, row) -> None:
    (comparison,) = compare([[row("a", noise, 2.5), row("a"), row("a", "noise", 5.0)]])
    assert [condition_label(rows[0]) for rows in comparison.conditions] == ["clean", "noise 5 dB", f"{noise} 2.5 dB"]
    assert comparison.noises == ["noise", noise]
