"""Mixture consistency, by hand and on mixtures whose parts are known."""

import math

import pytest
import torch

from sv.features import FEATURES
from sv.losses.mixture import mixture_consistency


@pytest.mark.parametrize("log_unit", [1.0, 10 / math.log(10), 1 / math.log(10), None])
def test_parts_that_add_up_cost_nothing_and_others_the_square_of_what_is_missing(log_unit) -> None:
    speech, background = torch.tensor([3.0, 0.5]), torch.tensor([1.0, 0.25])

    def feature(power):
        return power if log_unit is None else log_unit * power.log()

    parts = [feature(power).view(1, 2, 1) for power in (speech, background)]
    heard = feature(speech + background).view(1, 2, 1)
    assert mixture_consistency(*parts, heard, log_unit).item() == pytest.approx(0, abs=1e-10)
    assert mixture_consistency(*parts, heard + 2.0, log_unit).item() == pytest.approx(4.0, rel=1e-5)


def test_a_mean_that_is_subtracted_from_all_changes_nothing() -> None:
    speech, background, heard = torch.randn(3, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([-20.0, -3.0, 0.0, 1.0, 8.0])[:, None]
    moved = [part - mean for part in (speech, background, heard)]
    expected = mixture_consistency(speech, background, heard, 1.0)
    torch.testing.assert_close(mixture_consistency(*moved, 1.0), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", ["log_mel", "fbank", "decibel_mel", "slaney_mel"])
def test_features_rise_by_the_unit_of_their_front_end(kind) -> None:
    config_class, frontend_class = FEATURES[kind]
    frontend = frontend_class(config_class())
    quiet = 0.01 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    rise = frontend(math.exp(0.5) * quiet) - frontend(quiet)  # e times the power
    bins = slice(5, 30)  # loud enough that no floor counts
    assert float(rise[:, bins].median()) == pytest.approx(frontend.log_unit, rel=1e-2)


def test_powers_have_no_unit() -> None:
    config_class, frontend_class = FEATURES["slaney_mel"]
    assert frontend_class(config_class(log=False)).log_unit is None
