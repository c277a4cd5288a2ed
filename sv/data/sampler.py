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


class PairBatches(Sequence):
    """Batches of items, made when they are asked for: an epoch of a million utterances is an array until then.

    Parameters
    ----------
    pairs : (num_batches, num_pairs, 2) numpy.ndarray
        Utterances.
    epoch : int
    """

    def __init__(self, pairs: np.ndarray, epoch: int) -> None:
        self.pairs, self.epoch = pairs, epoch

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, batch):
        """One batch: first views of its pairs, clean, then second views; or, for a slice, those batches."""
        if isinstance(batch, slice):
            return PairBatches(self.pairs[batch], self.epoch)
        clean, disturbed = self.pairs[batch].T.tolist()
        items = [Item(utterance, self.epoch, False) for utterance in clean]
        return items + [Item(utterance, self.epoch, True) for utterance in disturbed]


class PairSampler:
    """Batches of pairs: two utterances of one speaker, the first clean, the second disturbed.

    Each epoch pairs every speaker's utterances anew, shuffles the pairs, and fills batches in which no speaker occurs
    twice. A pair whose speaker is already in the batch waits for the next one (the published ExU-Net code drops it). All
    epochs have as many batches as the first, so that a step belongs to the same epoch whenever training resumes. One
    whose shuffle fills fewer is topped up from a second shuffle; the pairs that do not come to be used are counted.

    Parameters
    ----------
    speaker_ids : sequence of int
        Speaker of each utterance.
    pairs_per_batch : int
        Over all ranks; a multiple of `world_size`.
    seed : int
    max_utterances : int
        Of one speaker in one epoch.
    augment_both : bool
        Disturb the first views too.
    frozen : bool
        The same pairs in every epoch, as in the published code, whose sampler never learns the epoch.

    Attributes
    ----------
    steps_per_epoch : int
    num_left_over : int
        Pairs of the first epoch that fit no full batch.
    num_single : int
        Speakers with one utterance, who are in no pair.

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
        augment_both: bool = False,
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
        self.world_size, self.rank, self.frozen, self.augment_both = world_size, rank, frozen, augment_both
        self.steps_per_epoch = len(self._plan(0))
        num_pairs = sum(min(len(group), max_utterances) // 2 for group in self.groups)
        self.num_left_over = num_pairs - self.steps_per_epoch * pairs_per_batch

    def epoch(self, epoch: int) -> PairBatches:
        """This rank's batches."""
        key = 0 if self.frozen else epoch
        pairs, shuffles = self._plan(key), 1
        while len(pairs) < self.steps_per_epoch:
            pairs = np.concatenate([pairs, self._plan(key, shuffles)])
            shuffles += 1
        share = self.pairs_per_batch // self.world_size
        mine = slice(self.rank * share, (self.rank + 1) * share)
        return PairBatches(pairs[: self.steps_per_epoch, mine], epoch)

    def _plan(self, *key: int) -> np.ndarray:
        """Global batches of one shuffle, (num_batches, pairs_per_batch, 2) utterances."""
        rng = generator(self.seed, "pairs", *key)
        pairs, speakers = [], []
        for speaker, group in enumerate(self.groups):
            count = min(len(group), self.max_utterances) // 2 * 2
            pairs.append(rng.permutation(group)[:count].reshape(-1, 2))
            speakers.append(np.full(count // 2, speaker))
        pairs, speakers = np.concatenate(pairs), np.concatenate(speakers)
        shuffle = rng.permutation(len(pairs))
        rows = distinct_batches(speakers[shuffle], self.pairs_per_batch)
        return pairs[shuffle[np.array(rows, dtype=np.int64).reshape(-1, self.pairs_per_batch)]]


def distinct_batches(labels: np.ndarray, size: int) -> list[list[int]]:
    """Fill batches of `size` rows in order, each label once a batch; a row that clashes waits for the next batch."""
    batches: list[list[int]] = []
    waiting: deque[int] = deque()
    labels = labels.tolist()
    upcoming = iter(enumerate(labels))
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
