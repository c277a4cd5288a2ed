"""Which utterances make which batch: a pure function of seed and epoch."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sv.seeding import generator


class Item(NamedTuple):
    """One utterance to be read in one epoch.

    Attributes
    ----------
    utterance : int
        Row of the index.
    epoch : int
        From 0; part of the key of its random crop and disturbance.
    augment : bool
        Whether it is disturbed.
    """

    utterance: int
    epoch: int
    augment: bool


class PairSampler:
    """Batches of pairs: two utterances of one speaker, the first clean, the second disturbed.

    Each epoch pairs every speaker's utterances anew, shuffles the pairs, and fills batches in which no speaker occurs
    twice. A pair whose speaker is already in the batch waits for the next one (the published ExU-Net code drops it). What
    is left when no full batch can be made is counted in `num_left_over`.

    Parameters
    ----------
    speaker_ids : sequence of int
        Speaker of each utterance.
    pairs_per_batch : int
        Over all ranks; a multiple of `world_size`.
    seed : int
    max_utterances : int
        Of one speaker in one epoch.
    frozen : bool
        The same pairs in every epoch, as in the published code, whose sampler never learns the epoch.

    Raises
    ------
    ValueError
        If there are fewer speakers with two utterances than pairs in a batch, or ranks cannot share a batch evenly.
    """

    def __init__(
        self,
        speaker_ids: Sequence[int],
        pairs_per_batch: int,
        seed: int,
        *,
        max_utterances: int = 500,
        world_size: int = 1,
        rank: int = 0,
        frozen: bool = False,
    ) -> None:
        if pairs_per_batch % world_size:
            raise ValueError(f"pairs_per_batch {pairs_per_batch} is not a multiple of the {world_size} ranks")
        speaker_ids = np.asarray(speaker_ids)
        order = np.argsort(speaker_ids, kind="stable")
        bounds = np.flatnonzero(np.diff(speaker_ids[order])) + 1
        groups = np.split(order, bounds)
        self.groups = [group for group in groups if len(group) > 1]
        self.num_single = len(groups) - len(self.groups)
        if len(self.groups) < pairs_per_batch:
            raise ValueError(
                f"pairs_per_batch is {pairs_per_batch}, but only {len(self.groups)} speakers have two utterances or more; "
                "a batch holds each speaker once, so make it smaller"
            )
        self.pairs_per_batch, self.seed, self.max_utterances = pairs_per_batch, seed, max_utterances
        self.world_size, self.rank, self.frozen = world_size, rank, frozen
        self.num_left_over = 0
        self.steps_per_epoch = len(self._plan(0))

    def epoch(self, epoch: int) -> list[list[Item]]:
        """This rank's batches: first views of its pairs, then second views.

        A different number of batches than in the first epoch may be possible; all epochs have the first one's, so that
        a step belongs to the same epoch whenever training resumes.
        """
        share = self.pairs_per_batch // self.world_size
        first = self.rank * share
        return [self._items(batch[first : first + share], epoch) for batch in self._plan(epoch)[: self.steps_per_epoch]]

    @staticmethod
    def _items(pairs: np.ndarray, epoch: int) -> list[Item]:
        clean = [Item(int(utterance), epoch, False) for utterance in pairs[:, 0]]
        return clean + [Item(int(utterance), epoch, True) for utterance in pairs[:, 1]]

    def _plan(self, epoch: int) -> list[np.ndarray]:
        """Global batches, each (pairs_per_batch, 2) utterances."""
        rng = generator(self.seed, "pairs", 0 if self.frozen else epoch)
        pairs, speakers = [], []
        for speaker, group in enumerate(self.groups):
            count = min(len(group), self.max_utterances) // 2 * 2
            pairs.append(rng.permutation(group)[:count].reshape(-1, 2))
            speakers.append(np.full(count // 2, speaker))
        pairs, speakers = np.concatenate(pairs), np.concatenate(speakers)
        shuffle = rng.permutation(len(pairs))
        rows = distinct_batches(speakers[shuffle], self.pairs_per_batch)
        self.num_left_over = len(pairs) - len(rows) * self.pairs_per_batch
        return [pairs[shuffle[batch]] for batch in rows]


def distinct_batches(labels: np.ndarray, size: int) -> list[list[int]]:
    """Fill batches of `size` rows in order, each label once a batch; a row that clashes waits for the next batch."""
    batches: list[list[int]] = []
    waiting: deque[int] = deque()
    upcoming = iter(enumerate(labels.tolist()))
    labels = labels.tolist()
    while True:
        batch, used, still_waiting = [], set(), deque()
        while waiting and len(batch) < size:
            row = waiting.popleft()
            if labels[row] in used:
                still_waiting.append(row)
            else:
                used.add(labels[row])
                batch.append(row)
        waiting.extendleft(reversed(still_waiting))
        while len(batch) < size:
            row, label = next(upcoming, (None, None))
            if row is None:
                return batches
            if label in used:
                waiting.append(row)
            else:
                used.add(label)
                batch.append(row)
        batches.append(batch)
