"""Steps of several batches."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol

from sv.train.steps.protocol import Batch


class Plan(Protocol):
    """Batches of a training set, as the loop is given them."""

    steps_per_epoch: int

    def batches(self, epoch: int, first_step: int) -> Iterable[Batch]:
        """This rank's batches of an epoch from its step `first_step` on."""


class Accumulated:
    """A plan each of whose steps is `count` batches of another plan; those left over at an epoch's end are not read.

    Parameters
    ----------
    plan : Plan
    count : int

    Raises
    ------
    ValueError
        If an epoch has fewer batches.
    """

    def __init__(self, plan: Plan, count: int) -> None:
        self.plan, self.count = plan, count
        self.steps_per_epoch = plan.steps_per_epoch // count
        if not self.steps_per_epoch:
            raise ValueError(
                f"[train] accumulate is {count}, but an epoch has only {plan.steps_per_epoch} batches; lower it"
            )

    def steps(self, epoch: int, first_step: int) -> Iterator[tuple[Batch, ...]]:
        """This rank's batches of each step of an epoch, from step `first_step` on."""
        batches = iter(self.plan.batches(epoch, first_step * self.count))
        for _ in range(first_step, self.steps_per_epoch):
            yield tuple(islice(batches, self.count))
