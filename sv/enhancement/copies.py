"""Noisy copies of a training set, or of the halves of its utterances, as data directories of lhotse cuts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sv.base.layout import SAMPLING_RATE
from sv.base.seeding import generator
from sv.data.augment import AugmentConfig, NoiseLibrary
from sv.data.manifests import cut_of
from sv.data.rendered import write_rendered_dir
from sv.data.utterances import read_utterances
from sv.kaldi import read_utt2spk
from sv.kaldi.data_dir import quarantined
from sv.kaldi.scp import byte_order

Part = tuple[str, str, int, int]  # its id, its utterance, first sample, number of samples


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Recipe of a training set's copies.

    Attributes
    ----------
    train_dir : Path
    out : Path
        Folder of the copies, `clean`, `noisy1`, `noisy2`, ...
    library : NoiseLibrary
    augment : AugmentConfig
        Draws what each noisy copy is augmented with, anew per copy and utterance.
    halves : bool
        Cut each utterance in two of one session.
    seed : int
    """

    train_dir: Path
    out: Path
    library: NoiseLibrary
    augment: AugmentConfig
    halves: bool = False
    seed: int = 0

    def write(self, copy: int) -> Path:
        """Write one data directory, copy 0 the clean one, and return its path."""
        left_out, utterances = quarantined(self.train_dir), read_utterances(self.train_dir)
        utt2spk = {utt: spk for utt, spk in read_utt2spk(self.train_dir / "utt2spk").items() if utt not in left_out}
        parts = [part for utt in utt2spk for part in parts_of(utt, utterances[utt].num_samples, self.halves)]
        parts.sort(key=lambda part: byte_order(part[0]))

        def cuts() -> Iterator[dict]:
            for name, utt, start, length in parts:
                cut = cut_of(name, utt2spk[utt], utterances[utt], start, length)
                if copy:
                    speech = utterances[utt].read_all()[start : start + length]
                    draw = self.library.draw(generator(self.seed, "enhancement", copy, name), self.augment, length)
                    cut = self.library.to_cut(draw, cut, speech)
                yield cut.to_dict()

        path = self.out / (f"noisy{copy}" if copy else "clean")
        write_rendered_dir(
            path,
            cuts(),
            utt2spk={part[0]: utt2spk[part[1]] for part in parts},
            utt2dur={part[0]: part[3] / SAMPLING_RATE for part in parts},
        )
        return path


def parts_of(utt: str, num_samples: int, halves: bool) -> list[Part]:
    """The whole utterance, or its two halves with ids `<utt>_1` and `<utt>_2`."""
    if not halves:
        return [(utt, utt, 0, num_samples)]
    middle = num_samples // 2
    return [(f"{utt}_1", utt, 0, middle), (f"{utt}_2", utt, middle, num_samples - middle)]
