"""From a data directory to training batches; reads only the samples that a crop needs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sv.data.audio import BadAudio, read_samples, tile_to
from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.data.index import UtteranceIndex
from sv.data.manifests import cut_of, repeat_cut, write_jsonl_gz
from sv.data.sampler import Item
from sv.seeding import generator


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a training step sees.

    Attributes
    ----------
    waveforms : (batch, samples) torch.Tensor
        Disturbed or not.
    references : (batch, samples) torch.Tensor
        The same crops, undisturbed.
    speaker_ids : (batch,) torch.Tensor
    utterances : tuple of str
    """

    waveforms: Tensor
    references: Tensor
    speaker_ids: Tensor
    utterances: tuple[str, ...]

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("waveforms", "references", "speaker_ids")
        }
        return replace(self, **moved)


class TrainingSet(Dataset):
    """Random crops, disturbed where asked; each a pure function of (seed, epoch, utterance).

    Parameters
    ----------
    index : UtteranceIndex
    num_samples : int
        Length of the crops. Shorter utterances are repeated.
    augment : AugmentConfig
    noise : NoiseLibrary
    seed : int
    """

    def __init__(
        self, index: UtteranceIndex, num_samples: int, augment: AugmentConfig, noise: NoiseLibrary, seed: int
    ) -> None:
        noise.check(augment)
        self.index, self.num_samples, self.augment, self.noise, self.seed = index, num_samples, augment, noise, seed

    def crop(self, item: Item) -> tuple[int, int]:
        """First sample and length of the item's crop."""
        available = int(self.index.num_samples[item.utterance])
        if available <= self.num_samples:
            return 0, available
        rng = generator(self.seed, "crop", item.epoch, self.index.utterances[item.utterance])
        return int(rng.integers(available - self.num_samples + 1)), self.num_samples

    def draw(self, item: Item):
        """What disturbs the item."""
        rng = generator(self.seed, "augment", item.epoch, self.index.utterances[item.utterance])
        return self.noise.draw(rng, self.augment, self.num_samples)

    def __getitem__(self, item: Item) -> tuple[np.ndarray, np.ndarray, int, str]:
        utterance = self.index.utterances[item.utterance]
        try:
            reference = tile_to(read_samples(self.index.paths[item.utterance], *self.crop(item)), self.num_samples)
            disturbed = (
                self.noise.apply(self.draw(item), reference, self.augment.snr_floor) if item.augment else reference
            )
        except (BadAudio, OSError) as error:
            raise BadAudio(f"utterance {utterance}: {error}") from error
        return disturbed, reference, int(self.index.speaker_ids[item.utterance]), utterance

    def to_cut(self, item: Item):
        """The lhotse cut that renders to the item's waveform."""
        start, length = self.crop(item)
        utterance, path = self.index.utterances[item.utterance], self.index.paths[item.utterance]
        speaker = self.index.speakers[self.index.speaker_ids[item.utterance]]
        cut = cut_of(utterance, speaker, path, int(self.index.num_samples[item.utterance]), start, length)
        if length < self.num_samples:
            cut = repeat_cut(cut, self.num_samples)
        if not item.augment:
            return cut
        speech = tile_to(read_samples(path, start, length), self.num_samples)
        return self.noise.to_cut(self.draw(item), cut, speech, self.augment.snr_floor)


def write_drawn_cuts(path: str | Path, dataset: TrainingSet, plan: Iterable[Sequence[Item]]) -> None:
    """Write what the planned batches hold, crops, noise and rooms, as lhotse cuts (jsonl.gz) in their order."""
    write_jsonl_gz(path, (dataset.to_cut(item).to_dict() for batch in plan for item in batch))


def collate(items: Sequence[tuple[np.ndarray, np.ndarray, int, str]]) -> Batch:
    """Stack what TrainingSet returns."""
    waveforms, references, speaker_ids, utterances = zip(*items)
    return Batch(
        waveforms=torch.from_numpy(np.stack(waveforms)),
        references=torch.from_numpy(np.stack(references)),
        speaker_ids=torch.tensor(speaker_ids, dtype=torch.long),
        utterances=utterances,
    )


def load_batches(dataset: TrainingSet, plan: Sequence[Sequence[Item]], num_workers: int = 0) -> Iterator[Batch]:
    """Read the planned batches in order, ahead of use if there are workers; the result does not depend on their number."""
    return iter(
        DataLoader(
            dataset,
            batch_sampler=plan,
            collate_fn=collate,
            num_workers=num_workers,
            prefetch_factor=2 if num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )
    )
