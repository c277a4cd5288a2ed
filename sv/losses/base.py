"""Base classes of the losses that steps choose by name; each says how its losses are built and called."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """Options of a loss that has none."""


NO_OPTIONS = NoOptions()


class ClassifierLoss(nn.Module):
    """Base of the losses that classify each embedding as one of the training speakers.

    Parameters
    ----------
    dim, num_speakers : int
        Of the embeddings, and of the training set.
    config : dataclass
        The options, of the class that `sv.losses.LOSSES` names beside the loss.
    """

    def __init__(self, dim: int, num_speakers: int, config: Any = NO_OPTIONS) -> None:
        super().__init__()
        self.config = config

    def forward(self, embeddings: Tensor, speaker_ids: Tensor, margin: float = 0.0) -> Tensor:
        """Mean loss of (batch, dim) embeddings of the speakers (batch,); losses without a margin ignore it."""
        raise NotImplementedError


class MetricLoss(nn.Module):
    """Base of the losses that compare the speakers of a batch with each other.

    Parameters
    ----------
    config : dataclass
        The options, of the class that `sv.losses.LOSSES` names beside the loss.

    Attributes
    ----------
    needs_draws : bool
        True if the loss draws which embeddings it compares.
    """

    needs_draws: ClassVar[bool] = False

    def __init__(self, config: Any = NO_OPTIONS) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def check_groups(cls, config: Any, speakers: int, utterances: int) -> None:
        """Raise ValueError unless the loss can be made of so many utterances per speaker of so many speakers."""
        if utterances < 2:
            raise ValueError(f"a metric loss needs 2 utterances per speaker or more, got {utterances}")

    def of_groups(self, embeddings: Tensor, draws: Tensor | None = None) -> Tensor:
        """Mean loss of (speakers, utterances, dim) embeddings.

        Parameters
        ----------
        embeddings : (speakers, utterances, dim) torch.Tensor
        draws : (speakers, 2) torch.Tensor, optional
            Uniform in [0, 1); given if `needs_draws`. An argument, so that all ranks draw alike.
        """
        raise NotImplementedError


class TargetLoss(nn.Module):
    """Base of the losses that bring each embedding to a given target.

    Parameters
    ----------
    config : dataclass
        The options, of the class that `sv.losses.LOSSES` names beside the loss.
    """

    def __init__(self, config: Any = NO_OPTIONS) -> None:
        super().__init__()
        self.config = config

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of (batch, dim) outputs against (batch, dim) targets, row by row."""
        raise NotImplementedError
