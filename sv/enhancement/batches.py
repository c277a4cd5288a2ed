"""Batches for embedding enhancement: utterances' embeddings and what they are to become."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sv.base.seeding import generator
from sv.data.sampler import Item
from sv.data.trial_lists import Line
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.lists import UTTERANCE_FIELDS, read_list
from sv.enhancement.targets import UTTERANCE, SpeakerTargets, Target
from sv.kaldi import DataDirError

ListKind = Literal["normal", "triplet", "distribution"]


@dataclass(frozen=True, kw_only=True)
class EmbeddingBatch:
    """Embeddings and their targets; from a distribution list, rows 2i and 2i + 1 are the utterances of pair i.

    Attributes
    ----------
    embeddings : (batch, dim) torch.Tensor
    targets : (batch, dim) torch.Tensor
    speaker_ids : (batch,) torch.Tensor
    utterances : tuple of str
    other_targets : (batch, dim) torch.Tensor, optional
        Target of another speaker per row; from a triplet list.
    same_session : (batch / 2,) bool torch.Tensor, optional
        True for pairs of one session; from a distribution list.
    """

    embeddings: Tensor
    targets: Tensor
    speaker_ids: Tensor
    utterances: tuple[str, ...]
    other_targets: Tensor | None = None
    same_session: Tensor | None = None

    def to(self, device: torch.device) -> "EmbeddingBatch":
        """The batch on another device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: value.to(device, non_blocking=True) for name, value in tensors.items()})


class EnhancementSet:
    """The lines of a list, as batches of embeddings and targets.

    An item is a line, or, of a distribution list, a speaker with all its pairs. Left out are speakers with one utterance
    where a target is to do without the utterance itself, and those whose pairs are all within or all across sessions.

    Parameters
    ----------
    path : path
        A list.
    kind : "normal", "triplet" or "distribution"
    archives : sequence of EmbeddingArchive
        Embeddings of the same utterances under several conditions; targets are made of the first.
    target : "B", "C" or "utterance"
        See `sv.enhancement.targets`.
    leave_one_out : bool
        Make an utterance's target of the speaker's other ones; B or C.
    num_crops : int
        Average that many random segments of an utterance; 0: all.
    seed : int

    Attributes
    ----------
    speakers : list of str
    speaker_ids : list of int
        Of each item.
    left_out : list of str
        Speakers without an item.
    targets : SpeakerTargets, optional
        None if an utterance is its own target.

    Raises
    ------
    DataDirError
        Naming file and line, if an utterance has no embedding or another speaker no utterance; if archives differ in
        dimension; if every speaker is left out.
    """

    def __init__(
        self,
        path: str | Path,
        kind: ListKind,
        archives: Sequence[EmbeddingArchive],
        *,
        target: Target = "C",
        leave_one_out: bool = True,
        num_crops: int = 0,
        seed: int = 0,
    ) -> None:
        if len({archive.dim for archive in archives}) > 1:
            dims = ", ".join(f"{archive.scp}: {archive.dim}" for archive in archives)
            raise DataDirError(f"embeddings of several dimensions ({dims})")
        self.kind, self.archives, self.num_crops, self.seed = kind, archives, num_crops, seed
        self.leave_one_out, self.path = leave_one_out and target != UTTERANCE, Path(path)
        lines = read_list(path, kind)
        self._rows = self._find_rows(lines)  # (archives, lines, utterances of a line)
        self.speakers = sorted({line[0] for line in lines})
        number = {speaker: place for place, speaker in enumerate(self.speakers)}
        self._speaker = np.array([number[line[0]] for line in lines])
        self._other = self._others(lines, number) if kind == "triplet" else None
        self._same = np.array([line[3] == "1" for line in lines]) if kind == "distribution" else None
        self.targets = self._make_targets(target)
        self._items, self.left_out = self._make_items()
        if not len(self._items):
            why = "pairs within and across sessions" if kind == "distribution" else "two utterances"
            raise DataDirError(f"{path}: no speaker has {why}")
        self.speaker_ids = [int(self._speaker[lines[0]]) for lines in self._items]

    def __len__(self) -> int:
        return len(self._items)

    def batch(self, items: Sequence[Item]) -> EmbeddingBatch:
        """Read a batch."""
        lines, first = np.concatenate([self._items[item.utterance] for item in items]), items[0]
        rows = self._rows[0, lines].reshape(-1)
        speakers = np.repeat(self._speaker[lines], self._rows.shape[2])
        as_stored = not self.num_crops and (len(self.archives) == 1 or not first.augment)
        inputs = self.archives[0].rows(rows) if as_stored else self._drawn(first.epoch, first.augment, lines)
        if self.targets is not None and not self.leave_one_out:
            targets = self.targets.of_speakers(speakers)
        else:
            clean = inputs if as_stored else self.archives[0].rows(rows)
            targets = clean if self.targets is None else self.targets.leaving_out(speakers, clean)
        others = None if self._other is None else torch.from_numpy(self.targets.of_speakers(self._other[lines]))
        return EmbeddingBatch(
            embeddings=torch.from_numpy(inputs),
            targets=torch.from_numpy(targets),
            speaker_ids=torch.from_numpy(speakers.astype(np.int64)),
            utterances=tuple(self.archives[0].keys[row] for row in rows),
            other_targets=others,
            same_session=None if self._same is None else torch.from_numpy(self._same[lines]),
        )

    def batches(self, plan: Iterable[Sequence[Item]]) -> Iterator[EmbeddingBatch]:
        """Read planned batches, one after the other."""
        return map(self.batch, plan)

    def _drawn(self, epoch: int, augment: bool, lines: np.ndarray) -> np.ndarray:
        """Inputs of the lines, each of a condition and of segments drawn by its utterance and the epoch."""
        inputs = []
        for clean, *others in self._rows[:, lines].reshape(len(self.archives), -1).T.tolist():
            rng = generator(self.seed, "embedding", epoch, self.archives[0].keys[clean])
            condition = int(rng.integers(len(self.archives))) if augment else 0
            inputs.append(self.archives[condition].rows([[clean, *others][condition]], self.num_crops, rng))
        return np.concatenate(inputs)

    def _find_rows(self, lines: Sequence[Line]) -> np.ndarray:
        rows = np.empty((len(self.archives), len(lines), len(UTTERANCE_FIELDS[self.kind])), np.int64)
        for place, archive in enumerate(self.archives):
            for number, line in enumerate(lines):
                for side, field in enumerate(UTTERANCE_FIELDS[self.kind]):
                    if line[field] not in archive:
                        raise DataDirError(
                            f"{self.path}:{number + 1}: no embedding of {line[field]!r} in {archive.scp}"
                        )
                    rows[place, number, side] = archive.row(line[field])
        return rows

    def _others(self, lines: Sequence[Line], number: dict[str, int]) -> np.ndarray:
        for place, line in enumerate(lines, start=1):
            if line[2] not in number or line[2] == line[0]:
                raise DataDirError(f"{self.path}:{place}: {line[2]!r} is not another speaker of the list")
        return np.array([number[line[2]] for line in lines])

    def _make_targets(self, target: Target) -> SpeakerTargets | None:
        if target == UTTERANCE:
            return None
        rows, first = np.unique(self._rows[0].reshape(-1), return_index=True)
        speakers = np.repeat(self._speaker, self._rows.shape[2])[first]
        return SpeakerTargets(target, self.archives[0], rows, speakers)

    def _make_items(self) -> tuple[Sequence[np.ndarray], list[str]]:
        enough = self.targets.counts >= 2 if self.leave_one_out else np.ones(len(self.speakers), bool)
        left_out = [speaker for speaker, usable in zip(self.speakers, enough) if not usable]
        if self._same is None:
            return np.flatnonzero(enough[self._speaker])[:, None], left_out
        same = np.bincount(self._speaker, self._same)
        pairs = np.bincount(self._speaker)
        one_kind = (same == 0) | (same == pairs)
        order = np.argsort(self._speaker, kind="stable")
        groups = np.split(order, np.cumsum(pairs)[:-1])
        return (
            [group for group, unusable in zip(groups, one_kind) if not unusable],
            [speaker for speaker, unusable in zip(self.speakers, one_kind) if unusable],
        )
