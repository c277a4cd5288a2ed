"""Weights of another model that a training starts from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from sv.base.config import ConfigError


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Weights by name, of a model that is to be trained and of one that is given.

    Attributes
    ----------
    taken : list of str
        Of both and of one shape.
    absent : list of str
        Not in the given model.
    reshaped : list of str
        Of another shape there; with both shapes.
    unused : list of str
        Of the given model alone.
    share : float in [0, 1]
        Of the model's numbers that the weights taken hold.
    """

    taken: list[str]
    absent: list[str]
    reshaped: list[str]
    unused: list[str]
    share: float

    def lines(self, where: str) -> list[str]:
        """A line on the weights that are taken from `where`, and one for each kind of the others."""
        total = len(self.taken) + len(self.absent) + len(self.reshaped)
        kinds = {"not there": self.absent, "of another shape there": self.reshaped, "there, not used": self.unused}
        head = f"{len(self.taken)} of {total} weights, {100 * self.share:.1f} % of the numbers, from {where}"
        return [head, *(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)]


def fit_of(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Fit:
    """Compare the weights of a model that is to be trained with given ones."""
    both = [name for name in own if name in given]
    taken = [name for name in both if own[name].shape == given[name].shape]
    return Fit(
        taken=taken,
        absent=[name for name in own if name not in given],
        reshaped=[f"{name} ({_shape(given[name])}, here {_shape(own[name])})" for name in both if name not in taken],
        unused=[name for name in given if name not in own],
        share=_count(own, taken) / max(1, _count(own, own)),
    )


def check_fit(fit: Fit, where: str) -> None:
    """Raise ConfigError if fewer than half of a model's weights fit."""
    others = len(fit.absent) + len(fit.reshaped)
    if len(fit.taken) < others:
        first = (fit.reshaped + fit.absent)[0]
        raise ConfigError(
            f"{where}: only {len(fit.taken)} of {len(fit.taken) + others} weights fit this model, fewer than half; the first "
            f"that does not: {first}. Start from a model of the same architecture and sizes"
        )


def take_weights(model: nn.Module, given: Mapping[str, Tensor], fit: Fit) -> None:
    """Give a model the weights that `fit` says it takes."""
    model.load_state_dict(model.state_dict() | {name: given[name] for name in fit.taken})


def _shape(weight: Tensor) -> str:
    return "x".join(map(str, weight.shape)) or "a number"


def _count(weights: Mapping[str, Tensor], names: Sequence[str] | Mapping[str, Tensor]) -> int:
    return sum(weights[name].numel() for name in names)
