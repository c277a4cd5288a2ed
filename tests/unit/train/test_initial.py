"""Weights of another model that a training starts from: those that fit are taken, and told."""

import pytest
import torch
from torch import nn

from sv.base.config import ConfigError
from sv.train.initial import check_fit, fit_of, take_weights


class Pair(nn.Module):
    def __init__(self, width: int, **more: nn.Module) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(3, width)
        for name, module in more.items():
            self.add_module(name, module)


def test_weights_are_told_apart_by_name_and_shape() -> None:
    own, given = Pair(4, c=nn.Linear(1, 1)), Pair(5, d=nn.Linear(1, 1, bias=False))
    fit = fit_of(own.state_dict(), given.state_dict())
    assert fit.taken == ["a.weight", "a.bias"]
    assert fit.absent == ["c.weight", "c.bias"]
    assert fit.reshaped == ["b.weight (5x3, here 4x3)", "b.bias (5, here 4)"]
    assert fit.unused == ["d.weight"]
    assert fit.share == (2 * 3 + 3) / (2 * 3 + 3 + 3 * 4 + 4 + 2)
    assert fit.lines("x.pt") == [
        "2 of 6 weights, 33.3 % of the numbers, from x.pt",
        "not there: c.weight, c.bias",
        "of another shape there: b.weight (5x3, here 4x3), b.bias (5, here 4)",
        "there, not used: d.weight",
    ]


def test_only_what_fits_is_taken() -> None:
    own, given = Pair(4), Pair(5)
    kept = own.b.weight.clone()
    take_weights(own, given.state_dict(), fit_of(own.state_dict(), given.state_dict()))
    assert torch.equal(own.a.weight, given.a.weight) and torch.equal(own.a.bias, given.a.bias)
    assert torch.equal(own.b.weight, kept)


@pytest.mark.parametrize(("given", "is_refused"), [(Pair(4), False), (Pair(5), False), (nn.Linear(2, 3), True)])
def test_fewer_than_half_is_refused(given, is_refused) -> None:
    fit = fit_of(Pair(4).state_dict(), given.state_dict())
    if not is_refused:
        check_fit(fit, "x.pt")
        return
    with pytest.raises(ConfigError) as caught:
        check_fit(fit, "x.pt")
    assert str(caught.value) == (
        "x.pt: only 0 of 4 weights fit this model, fewer than half; the first that does not: a.weight. "
        "Start from a model of the same architecture and sizes"
    )
