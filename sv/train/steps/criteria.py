"""Criteria of the steps: losses chosen by name from `sv.losses.LOSSES`, with options from the [loss] table."""

from dataclasses import dataclass, fields, make_dataclass
from functools import cache
from typing import Any, ClassVar

from torch import nn

from sv.losses import LOSSES


def names_of(kind: type[nn.Module]) -> list[str]:
    """Names of the losses of one kind: subclasses of `ClassifierLoss`, `MetricLoss` or `TargetLoss`."""
    return [name for name, (_, loss) in LOSSES.items() if issubclass(loss, kind)]


def check_name(key: str, name: str, kind: type[nn.Module]) -> None:
    """Raise ValueError naming the key and the known names, unless `name` is a loss of this kind."""
    if name not in (known := names_of(kind)):
        raise ValueError(f"{key} must be one of {', '.join(map(repr, known))}, got {name!r}")


def options_of(name: str, record: Any) -> Any:
    """Options of a loss from the step's record: fields of the same name; the others keep the loss' defaults."""
    options = LOSSES[name][0]
    shared = [field.name for field in fields(options) if hasattr(record, field.name)]
    return options(**{name: getattr(record, name) for name in shared})


def make_criterion(name: str, record: Any, *sizes: int) -> nn.Module:
    """Build a loss by name, a classifier of the sizes (dim, num_speakers), with the options that `record` has of it."""
    return LOSSES[name][1](*sizes, options_of(name, record))


@dataclass(frozen=True, kw_only=True)
class CriterionConfig:
    """Base of the [loss] records whose `criterion` may be any loss of one kind, with options of its own.

    Attributes
    ----------
    criterion : str
    kind : class variable
        `ClassifierLoss` or `MetricLoss`.
    """

    kind: ClassVar[type[nn.Module]]
    criterion: str

    def __post_init__(self) -> None:
        check_name("criterion", self.criterion, self.kind)
        options_of(self.criterion, self)  # which checks them


@cache
def with_options(record: type[CriterionConfig], name: str) -> type[CriterionConfig]:
    """Class of the record with all options of a loss: `record` itself, or a subclass that has them and their defaults."""
    options = LOSSES[name][0]
    if all(hasattr(record, field.name) and getattr(record, field.name) == field.default for field in fields(options)):
        return record
    methods = {"__post_init__": record.__post_init__}  # of both bases the step's, which builds the loss' options
    bases = (options, record)
    return make_dataclass(record.__name__, [], bases=bases, namespace=methods, frozen=True, kw_only=True)
