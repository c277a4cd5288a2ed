"""From a data directory to training batches; reads only the samples that a crop needs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sv.base.layout import CROWD
from sv.base.seeding import generator
from sv.data.audio import BadAudio, tile_to
from sv.data.augment import AugmentConfig, NoiseLibrary, parts_of
from sv.data.crowd import Crowd
from sv.data.index import UtteranceIndex
from sv.data.manifests import cut_of, repeat_cut, write_jsonl_gz
from sv.data.perturb import perturb
from sv.data.sampler import Item
from sv.data.speed import change_speed, samples_before, speed_ratio


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Crops of utterances, in the order of the sampler's items.

    Attributes
    ----------
    waveforms : (batch, samples) torch.Tensor
        Augmented or not.
    references : (batch, samples) torch.Tensor
        The same crops without augmentation.
    speaker_ids : (batch,) torch.Tensor
    utterances : tuple of str
    """

    waveforms: Tensor
    references: Tensor
    speaker_ids: Tensor
    utterances: tuple[str, ...]

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: value.to(device, non_blocking=True) for name, value in tensors.items()})


class TrainingSet(Dataset):
    """Random crops, augmented where asked; each a pure function of (seed, epoch, utterance, view).

    Its rows are the utterances of the index at the first speed, then all of them at the second, and so on; a speaker at
    another speed is another speaker.

    Parameters
    ----------
    index : UtteranceIndex
    num_samples : int
        Length of the crops. Shorter utterances are repeated.
    augment : AugmentConfig
    noise : NoiseLibrary
    seed : int

    Attributes
    ----------
    speaker_ids : (rows,) numpy.ndarray
    num_speakers : int
    """

    def __init__(
        self, index: UtteranceIndex, num_samples: int, augment: AugmentConfig, noise: NoiseLibrary, seed: int
    ) -> None:
        if any(CROWD in parts_of(category) for category in augment.noises):
            noise = noise.with_crowd(Crowd(index))
        noise.check(augment)
        self.index, self.num_samples, self.augment, self.noise, self.seed = index, num_samples, augment, noise, seed
        copies = range(len(augment.speeds))
        self.num_speakers = len(index.speakers) * len(copies)
        self._named = (-1, "")  # the last row, whose name is asked for again and again
        self.speaker_ids = np.concatenate([index.speaker_ids + copy * len(index.speakers) for copy in copies])

    def __len__(self) -> int:
        return len(self.speaker_ids)

    def locate(self, item: Item) -> tuple[int, float]:
        """Row in the index, and speed."""
        copy, row = divmod(item.utterance, len(self.index))
        return row, self.augment.speeds[copy]

    def name(self, item: Item) -> str:
        """The utterance's id, after its speed if that is not 1: `sp0.9-id10001-...`, as in Kaldi."""
        if self._named[0] != item.utterance:
            row, speed = self.locate(item)
            utterance = self.index.utterances[row]
            self._named = item.utterance, utterance if speed == 1 else f"sp{speed:g}-{utterance}"
        return self._named[1]

    def crop(self, item: Item) -> tuple[int, int]:
        """First sample and length of the item's crop in its utterance, before the speed is changed."""
        row, speed = self.locate(item)
        available, wanted = int(self.index.num_samples[row]), samples_before(self.num_samples, speed)
        if available <= wanted:
            return 0, available
        grid = speed_ratio(speed).numerator  # these samples have a counterpart at the other speed, for lhotse's sake
        rng = generator(self.seed, "crop", item.epoch, self.name(item), item.view)
        return int(rng.integers((available - wanted) // grid + 1)) * grid, wanted

    def draw(self, item: Item):
        """Draw the item's augmentation: room, channel and noise."""
        rng = generator(self.seed, "augment", item.epoch, self.name(item), item.view)
        speaker = int(self.index.speaker_ids[self.locate(item)[0]])
        return self.noise.draw(rng, self.augment, self.num_samples, speaker)

    def _reference(self, item: Item) -> np.ndarray:
        row, speed = self.locate(item)
        samples = change_speed(self.index.utterance(row).read(*self.crop(item)), speed)
        return tile_to(samples, self.num_samples)[: self.num_samples]

    def __getitem__(self, item: Item) -> tuple[np.ndarray, np.ndarray, int, str]:
        try:
            reference = self._reference(item)
            waveform = self._augmented(item, reference) if item.augment else reference
        except (BadAudio, OSError) as error:
            raise BadAudio(f"utterance {self.name(item)}: {error}") from error
        return waveform, reference, int(self.speaker_ids[item.utterance]), self.name(item)

    def _augmented(self, item: Item, reference: np.ndarray) -> np.ndarray:
        if not self.augment.perturb.is_off:
            rng = generator(self.seed, "perturb", item.epoch, self.name(item), item.view)
            reference = perturb(reference, rng, self.augment.perturb)
        return self.noise.apply(self.draw(item), reference, self.augment.snr_floor)

    def to_cut(self, item: Item):
        """The lhotse cut that renders to the item's waveform.

        Raises
        ------
        ValueError
            If the item is augmented and the configuration perturbs level, pitch or colour, of which lhotse knows nothing.
        """
        if item.augment and not self.augment.perturb.is_off:
            raise ValueError("[augment.perturb] cannot be written as lhotse cuts; set its probabilities to 0")
        (row, speed), (start, length) = self.locate(item), self.crop(item)
        index = self.index
        speaker = index.speakers[index.speaker_ids[row]]
        cut = cut_of(index.utterances[row], speaker, index.utterance(row), start, length)
        if speed != 1:
            cut = cut.perturb_speed(speed).with_id(self.name(item))
        if cut.num_samples < self.num_samples:
            cut = repeat_cut(cut, self.num_samples)
        return (
            self.noise.to_cut(self.draw(item), cut, self._reference(item), self.augment.snr_floor)
            if item.augment
            else cut
        )


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
