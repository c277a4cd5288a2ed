"""Noise as the published code of ExU-Net adds it to its noisy test sets, for rows that are put beside printed ones.

Source: wngh1187/ExU-Net, data/preprocessing.py (pieces) and data/musan.py (draw, level); Diff-SV, NA-ExU-Net and MCL-SV have the
same. What differs from `NoiseLibrary`, whose noise is at the SNR of its label:

- MUSAN is cut into pieces of 5 s, one every 3 s, and an utterance hears one piece over and over. Other noise is taken whole.
- Pieces are drawn uniformly, so that a long recording is drawn more often. Babble is the mean of 3 to 6 pieces.
- 1e-4 is added to the power of speech and of noise before the SNR is set: noise below -40 dBFS is weaker than its label says.

That code writes 16-bit files, which cut what goes beyond +-1; nothing is cut here. Its draws have no seed; ours are keyed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.base.layout import SAMPLING_RATE
from sv.data.augment import Draw, NoiseLibrary, NoisePiece
from sv.data.mixing import noise_gain, power
from sv.kaldi.scp import DataDirError

PIECE = 5 * SAMPLING_RATE  # samples
HOP = 3 * SAMPLING_RATE
CUT = ("noise", "music", "babble")  # the noise types of MUSAN
SNR_FLOOR = 1e-4  # added to mean squares


class Stretch(NamedTuple):
    """`num_samples` samples of a recording from sample `start`, which can be drawn."""

    recording: str
    start: int
    num_samples: int


def stretches(recording: str, num_samples: int) -> list[Stretch]:
    """Pieces of a recording: as many as begin a whole hop before the last that would fit; the whole recording if none does."""
    count = max((num_samples - PIECE) // HOP, 0)
    return [Stretch(recording, i * HOP, PIECE) for i in range(count)] or [Stretch(recording, 0, num_samples)]


class ExuNetNoise(NoiseLibrary):
    """Noise by category, drawn in pieces and scaled as the published code does.

    Parameters
    ----------
    noise_dirs : mapping of category to data directory
    """

    def __init__(self, noise_dirs: Mapping[str, str | Path]) -> None:
        super().__init__(noise_dirs)
        self.stretches: dict[str, list[Stretch]] = {}
        for category, recordings in self.noises.items():
            lengths = [(key, recordings.utterances[key].num_samples) for key in recordings.ids]
            self.stretches[category] = [
                stretch
                for key, length in lengths
                for stretch in (stretches(key, length) if category in CUT else [Stretch(key, 0, length)])
            ]

    def draw_noise(
        self, rng: np.random.Generator, category: str, num_samples: int, num_babble: tuple[int, int] = (3, 6)
    ) -> tuple[NoisePiece, ...]:
        """One stretch, or several different ones for babble, each repeated until it covers `num_samples`; silence is not refused.

        Raises
        ------
        DataDirError
            If there are fewer pieces than babble may need.
        """
        known, (low, high) = self.stretches[category], num_babble if category == "babble" else (1, 1)
        if len(known) < high:
            raise DataDirError(
                f"{category}: up to {high} different pieces are averaged, there are {len(known)}; add speech recordings"
            )
        count = int(rng.integers(low, high + 1))
        chosen = rng.choice(len(known), size=count, replace=False)
        return tuple(piece for i in chosen for piece in covering(rng, known[i], num_samples))

    def gain(self, draw: Draw, speech: np.ndarray, noise: np.ndarray, floor: float = 0.0) -> float:
        """Factor on the sum of the pieces, whose mean is what is added; the published floor holds besides the given one."""
        count = sum(piece.offset == 0 for piece in draw.pieces)
        return noise_gain(power(speech), power(noise) / count**2, draw.snr_db, SNR_FLOOR + floor) / count


def covering(rng: np.random.Generator, stretch: Stretch, num_samples: int) -> list[NoisePiece]:
    """Random crop of a stretch; of one that is too short, repeated to one sample more than needed, so from its sample 0 or 1."""
    recording, first, length = stretch
    last_start = length - num_samples if length >= num_samples else 1
    start = int(rng.integers(last_start + 1)) % length  # sample 1 of a stretch of one sample is its sample 0 again
    pieces, offset = [], 0
    while offset < num_samples:
        count = min(length - start, num_samples - offset)
        pieces.append(NoisePiece(recording=recording, start=first + start, num_samples=count, offset=offset))
        offset, start = offset + count, 0
    return pieces
