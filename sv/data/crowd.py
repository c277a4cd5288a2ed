"""Babble of a training set's own utterances: far more talkers than a noise corpus has, at no other cost than reading them."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

import numpy as np

from sv.data.augment import Recordings
from sv.data.index import UtteranceIndex
from sv.data.utterances import Utterance
from sv.kaldi.scp import byte_order


class Crowd(Recordings):
    """The utterances of a training set as talkers, none of whom is the speaker that they are mixed with.

    Parameters
    ----------
    index : UtteranceIndex
    """

    def __init__(self, index: UtteranceIndex) -> None:
        self.index, self.ids, self.utterances = index, index.utterances, _ByName(index)

    @property
    def available(self) -> int:
        """Number of utterances that are left for the speaker with the most."""
        return len(self.index) - int(np.bincount(self.index.speaker_ids).max())

    def choose(self, rng: np.random.Generator, count: int, speaker: int | None) -> list[str]:
        """Draw different utterances of other speakers; `speaker` is a row of the index's `speakers`, None for no one's."""
        rows: list[int] = []
        while len(rows) < count:  # ends: `available` is at least as many
            row = int(rng.integers(len(self.index)))
            if row not in rows and self.index.speaker_ids[row] != speaker:
                rows.append(row)
        return [self.ids[row] for row in rows]


class _ByName(Mapping[str, Utterance]):
    """Utterances of an index, which lie in byte order, by their ids."""

    def __init__(self, index: UtteranceIndex) -> None:
        self.index = index

    def __getitem__(self, utterance: str) -> Utterance:
        row = bisect_left(self.index.utterances, byte_order(utterance), key=byte_order)
        if row == len(self.index) or self.index.utterances[row] != utterance:
            raise KeyError(utterance)
        return self.index.utterance(row)

    def __iter__(self) -> Iterator[str]:
        return iter(self.index.utterances)

    def __len__(self) -> int:
        return len(self.index)
