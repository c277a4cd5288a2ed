"""The interface of a back end: embeddings and trials to scores.

A new back end is a class of this form in a module of its own, and a line in `sv.scoring.backends.BACKENDS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np

from sv.base.files import existing_file
from sv.kaldi.trials import Trials

Vectors = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Trials of held-out speakers, to choose by.

    Attributes
    ----------
    trials : Trials
    vectors : mapping of utterance to (dim,) numpy.ndarray
        Of both sides.
    """

    trials: Trials
    vectors: Vectors


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """Embeddings that back ends learn from.

    Attributes
    ----------
    vectors : (num_utts, dim) float32 numpy.ndarray
    names, speakers : (num_utts,) sequence of str
    held_out : HeldOut, optional
    unlabelled : mapping of utterance to (dim,) numpy.ndarray, optional
        Of another domain, to adapt to.
    unlabelled_scp : path
        Named in errors about them.
    """

    vectors: np.ndarray
    names: Sequence[str]
    speakers: Sequence[str]
    held_out: HeldOut | None = None
    unlabelled: Vectors | None = None
    unlabelled_scp: str | Path = "embeddings to adapt to"


class BackEnd(Protocol):
    """Scores trials; may have been learned from a training set's embeddings before.

    Attributes
    ----------
    name : str
        In commands, names of score files and results.
    reads : "vectors" or "segments"
        Embeddings of utterances, (dim,) each, or of their segments, (num_segments, dim).
    normalisable : bool
        Scores are dot products of rows, so that a cohort can normalise them: the back end is also a
        `sv.scoring.scorers.Scorer`.
    files : tuple of str
        What `save` writes into a folder; empty for a back end that learns nothing and is made without arguments.
    Config : dataclass type
        Options of `fit`.
    """

    name: ClassVar[str]
    reads: ClassVar[Literal["vectors", "segments"]]
    normalisable: ClassVar[bool]
    files: ClassVar[tuple[str, ...]]
    Config: ClassVar[type]

    @classmethod
    def fit(cls, training: Training, config: Any, seed: int = 0) -> Self:
        """Learn from embeddings.

        Parameters
        ----------
        training : Training
        config : Config
        seed : int
            Of all random draws.

        Raises
        ------
        ValueError
            If the embeddings do not suffice, or something that it needs of `training` is not there.
        """

    def save(self, folder: str | Path) -> None:
        """Write `files` into a folder, each whole or not at all."""

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            Naming the file that is missing, and the command that makes it.
        ValueError
            Naming the file that is not what it should be; for a back end that reads nothing from folders.
        """

    def __str__(self) -> str:
        """Kind and sizes, for `sv backend` to print."""

    def score(
        self,
        trials: Trials,
        enrolment: Vectors,
        test: Vectors | None = None,
        *,
        num_utts: Mapping[str, int] | None = None,
    ) -> np.ndarray:
        """Scores in trial order, higher for one speaker, (num_trials,) float64.

        Parameters
        ----------
        trials : Trials
        enrolment, test : mapping of utterance to numpy.ndarray
            What the back end `reads`, of either side; without `test`, `enrolment` holds both.
        num_utts : mapping of str to int, optional
            How many utterances each enrolment vector is the average of, for a back end that makes use of it.

        Raises
        ------
        KeyError
            If a trial's utterance has no embedding: the count and the first three.
        ValueError
            If an embedding is zero, NaN or infinite.
        """


@dataclass(frozen=True)
class NoOptions:
    """Options of a back end that has none."""


class LearnsNothing:
    """The half of a back end that needs no training."""

    normalisable: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ()
    Config: ClassVar[type] = NoOptions

    @classmethod
    def fit(cls, training: Training, config: Any, seed: int = 0) -> Self:
        """As `BackEnd`."""
        return cls()

    def save(self, folder: str | Path) -> None:
        """Write nothing."""

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Raise ValueError: there is nothing to read."""
        raise ValueError(f"{folder}: the back end {cls.name} learns nothing, so it has no folder; leave out --backend")


def require_files(back_end: type[BackEnd], folder: str | Path) -> None:
    """Raise FileNotFoundError, naming file and remedy, unless a folder holds all that a back end's `save` wrote."""
    for file in back_end.files:
        existing_file(Path(folder) / file, f"sv backend --kinds {back_end.name} makes it")
