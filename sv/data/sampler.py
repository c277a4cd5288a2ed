"""Plans of batches, from a training set's speakers to the utterances of each batch: a pure function of seed and epoch."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sv.base.config import require
from sv.base.seeding import generator


class Item(NamedTuple):
    """One utterance to be read in one epoch.

    Attributes
    ----------
    utterance : int
        Row of the training set.
    epoch : int
        From 0; with `view`, part of the key of its random crop and augmentation.
    augment : bool
        True if it is to be augmented.
    view : int
        Its place among the utterances of its speaker in the batch.
    """

    utterance: int
    epoch: int
    augment: bool
    view: int = 0


class Batches(Sequence):
    """Batches of items, made when they are asked for: an epoch of a million utterances is an array until then.

    Parameters
    ----------
    rows : (num_batches, ...) numpy.ndarray
        Utterances.
    to_items : callable
        From one batch's rows to its items.
    """

    def __init__(self, rows: np.ndarray, to_items: Callable[[np.ndarray], list[Item]]) -> None:
        self.rows, self.to_items = rows, to_items

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, batch):
        """One batch, or, for a slice, those batches."""
        return Batches(self.rows[batch], self.to_items) if isinstance(batch, slice) else self.to_items(self.rows[batch])


class GroupSampler:
    """Batches of groups: `size` utterances of each of `per_batch` speakers.

    Each epoch groups every speaker's utterances anew, shuffles the groups, and fills batches in which no speaker occurs
    twice. A group whose speaker is already in the batch waits for the next one (the published ExU-Net code drops it).
    All epochs have as many batches as the first, so that a step belongs to the same epoch whenever training resumes. One
    whose shuffle fills fewer is topped up from a second shuffle; the groups that do not come to be used are counted.

    Parameters
    ----------
    speaker_ids : sequence of int
        Speaker of each utterance.
    size : int
        Utterances in a group.
    per_batch : int
        Groups in a batch, over all ranks; a multiple of `world_size`.
    seed : int
    key : str
        What [batches] calls `per_batch`, for errors.
    max_utterances : int
        Of one speaker in one epoch.
    repeat_single : bool
        A speaker's only utterance is repeated to a group, for other crops of it; else such speakers are left out.
    frozen : bool
        The same groups in every epoch.

    Attributes
    ----------
    steps_per_epoch : int
    num_left_over : int
        Groups of the first epoch that fit no full batch.
    num_left_out : int
        Speakers with too few utterances for a group.

    Raises
    ------
    ValueError
        If fewer speakers can make a group than a batch holds, or ranks cannot share a batch evenly.
    """

    def __init__(
        self,
        speaker_ids: Sequence[int],
        size: int,
        per_batch: int,
        seed: int,
        *,
        key: str,
        max_utterances: int,
        world_size: int,
        rank: int,
        repeat_single: bool = False,
        frozen: bool = False,
    ) -> None:
        self.share = share_of(key, per_batch, world_size, rank)
        speaker_ids = np.asarray(speaker_ids)
        order = np.argsort(speaker_ids, kind="stable")
        bounds = np.flatnonzero(np.diff(speaker_ids[order])) + 1
        speakers = np.split(order, bounds)
        if repeat_single:
            speakers = [np.repeat(rows, size) if len(rows) == 1 else rows for rows in speakers]
        self.speakers = [rows for rows in speakers if len(rows) >= size]
        self.num_left_out = len(speakers) - len(self.speakers)
        if len(self.speakers) < per_batch:
            found = len(self.speakers)
            remedy = f"lower it to {found} or less" if found else "train on more utterances per speaker"
            raise ValueError(
                f"[batches] {key} is {per_batch}, but only {found} speakers have at least {size} utterances; {remedy}"
            )
        self.size, self.per_batch, self.seed, self.max_utterances = size, per_batch, seed, max_utterances
        self.frozen = frozen
        self.steps_per_epoch = len(self._plan(0))
        num_groups = sum(min(len(rows), max_utterances) // size for rows in self.speakers)
        self.num_left_over = num_groups - self.steps_per_epoch * per_batch

    def groups(self, epoch: int) -> np.ndarray:
        """This rank's groups, (num_batches, groups, size) utterances."""
        key = 0 if self.frozen else epoch
        groups, shuffles = self._plan(key), 1
        while len(groups) < self.steps_per_epoch:
            groups = np.concatenate([groups, self._plan(key, shuffles)])
            shuffles += 1
        return groups[: self.steps_per_epoch, self.share]

    def _plan(self, *key: int) -> np.ndarray:
        """Global batches of one shuffle, (num_batches, per_batch, size) utterances."""
        rng = generator(self.seed, "groups", *key)
        groups, labels = [], []
        for label, rows in enumerate(self.speakers):
            count = min(len(rows), self.max_utterances) // self.size
            groups.append(rng.permutation(rows)[: count * self.size].reshape(-1, self.size))
            labels.append(np.full(count, label))
        groups, labels = np.concatenate(groups), np.concatenate(labels)
        shuffle = rng.permutation(len(groups))
        batches = distinct_batches(labels[shuffle], self.per_batch)
        return groups[shuffle[np.array(batches, dtype=np.int64).reshape(-1, self.per_batch)]]


def share_of(key: str, per_batch: int, world_size: int, rank: int) -> slice:
    """The part of a global batch that is this rank's; raises ValueError naming the key if ranks cannot share evenly."""
    if per_batch % world_size:
        raise ValueError(
            f"[batches] {key} is {per_batch}, which {world_size} ranks cannot share evenly; make it a multiple of {world_size}"
        )
    share = per_batch // world_size
    return slice(rank * share, (rank + 1) * share)


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """Batches of pairs: two utterances of one speaker, all first views, then all second views.

    Attributes
    ----------
    pairs_per_batch : int
        Over all ranks; a batch has twice as many utterances.
    max_utterances : int
        Of one speaker in one epoch.
    augment_both : bool
        Augment the first views too, each by a draw of its own; the published ExU-Net code leaves them clean.
    repeat_single : bool
        Pair a speaker's only utterance with another crop of itself; else such speakers are left out.
    frozen : bool
        The same pairs in every epoch, as in the published ExU-Net code, whose sampler never learns the epoch.
    """

    pairs_per_batch: int = 60
    max_utterances: int = 500
    augment_both: bool = False
    repeat_single: bool = False
    frozen: bool = False

    def __post_init__(self) -> None:
        require(self, at_least_one=("pairs_per_batch", "max_utterances"))


class PairSampler(GroupSampler):
    """Batches for clean/augmented pairs (Kim et al. 2022, arXiv:2206.13044); see `PairsConfig`."""

    def __init__(
        self, speaker_ids: Sequence[int], config: PairsConfig, seed: int, world_size: int = 1, rank: int = 0
    ) -> None:
        super().__init__(
            speaker_ids, 2, config.pairs_per_batch, seed, key="pairs_per_batch", max_utterances=config.max_utterances,
            world_size=world_size, rank=rank, repeat_single=config.repeat_single, frozen=config.frozen,
        )  # fmt: skip
        self.augment_both = config.augment_both

    def epoch(self, epoch: int) -> Batches:
        """This rank's batches."""

        def to_items(pairs: np.ndarray) -> list[Item]:
            first, second = pairs.T.tolist()
            return [Item(row, epoch, self.augment_both, 0) for row in first] + [
                Item(row, epoch, True, 1) for row in second
            ]

        return Batches(self.groups(epoch), to_items)


@dataclass(frozen=True, kw_only=True)
class SpeakersConfig:
    """Batches of P speakers times K utterances, one speaker after the other.

    Attributes
    ----------
    speakers_per_batch : int
        Over all ranks.
    utterances_per_speaker : int
    max_utterances : int
        Of one speaker in one epoch.
    augment : bool
    """

    speakers_per_batch: int = 64
    utterances_per_speaker: int = 2
    max_utterances: int = 500
    augment: bool = True

    def __post_init__(self) -> None:
        require(self, at_least_one=("speakers_per_batch", "utterances_per_speaker", "max_utterances"))


class SpeakerSampler(GroupSampler):
    """Batches for metric learning: `waveforms.unflatten(0, (-1, utterances_per_speaker))` groups them by speaker."""

    def __init__(
        self, speaker_ids: Sequence[int], config: SpeakersConfig, seed: int, world_size: int = 1, rank: int = 0
    ) -> None:
        super().__init__(
            speaker_ids, config.utterances_per_speaker, config.speakers_per_batch, seed,
            key="speakers_per_batch", max_utterances=config.max_utterances, world_size=world_size, rank=rank,
        )  # fmt: skip
        self.augment = config.augment

    def epoch(self, epoch: int) -> Batches:
        """This rank's batches."""

        def to_items(groups: np.ndarray) -> list[Item]:
            return [Item(row, epoch, self.augment, view) for group in groups.tolist() for view, row in enumerate(group)]

        return Batches(self.groups(epoch), to_items)


@dataclass(frozen=True, kw_only=True)
class ShuffledConfig:
    """Every utterance once per epoch, or several times, in random order.

    Attributes
    ----------
    batch_size : int
        Over all ranks.
    augment : bool
    repeats : int
        Crops of each utterance in an epoch: of a small corpus, an epoch is then worth an evaluation.
    """

    batch_size: int = 128
    augment: bool = True
    repeats: int = 1

    def __post_init__(self) -> None:
        require(self, at_least_one=("batch_size", "repeats"))


class ShuffledSampler:
    """Batches for classification; the utterances that fill no last batch, others each epoch, are counted.

    Attributes
    ----------
    steps_per_epoch, num_left_over, num_left_out : int
        As of `GroupSampler`; nobody is left out.

    Raises
    ------
    ValueError
        If there are fewer utterances than a batch holds, or ranks cannot share a batch evenly.
    """

    num_left_out = 0

    def __init__(
        self, speaker_ids: Sequence[int], config: ShuffledConfig, seed: int, world_size: int = 1, rank: int = 0
    ) -> None:
        self.num_utterances, self.config, self.seed = len(speaker_ids), config, seed
        self.num_items = self.num_utterances * config.repeats
        self.share = share_of("batch_size", config.batch_size, world_size, rank)
        self.steps_per_epoch, self.num_left_over = divmod(self.num_items, config.batch_size)
        if not self.steps_per_epoch:
            raise ValueError(
                f"[batches] batch_size is {config.batch_size}, but there are only {self.num_items} utterances; "
                f"lower it to {self.num_items} or less"
            )

    def epoch(self, epoch: int) -> Batches:
        """This rank's batches."""
        order = generator(self.seed, "shuffle", epoch).permutation(self.num_items)
        rows = order[: self.steps_per_epoch * self.config.batch_size].reshape(self.steps_per_epoch, -1)

        def to_items(batch: np.ndarray) -> list[Item]:
            views, utterances = np.divmod(batch, self.num_utterances)
            return [
                Item(row, epoch, self.config.augment, view) for row, view in zip(utterances.tolist(), views.tolist())
            ]

        return Batches(rows[:, self.share], to_items)


class EpochPlan:
    """Batches of any epoch from any step on, for this rank; what the training loop iterates over.

    Parameters
    ----------
    sampler : GroupSampler or ShuffledSampler
        Plans an epoch's batches.
    read : callable
        From planned batches to batches that a training step reads.

    Attributes
    ----------
    steps_per_epoch : int
    """

    def __init__(
        self, sampler: GroupSampler | ShuffledSampler, read: Callable[[Sequence[Sequence[Item]]], Iterable]
    ) -> None:
        self.sampler, self.read = sampler, read
        self.steps_per_epoch = sampler.steps_per_epoch

    def batches(self, epoch: int, first_step: int) -> Iterable:
        """Read the epoch's batches from step `first_step` on."""
        return self.read(self.sampler.epoch(epoch)[first_step:])


def distinct_batches(labels: np.ndarray, size: int) -> list[list[int]]:
    """Fill batches of `size` rows in order, each label once per batch; a row that clashes waits for the next batch."""
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


BATCHES = {
    "pairs": (PairsConfig, PairSampler),
    "speakers": (SpeakersConfig, SpeakerSampler),
    "shuffled": (ShuffledConfig, ShuffledSampler),
}
