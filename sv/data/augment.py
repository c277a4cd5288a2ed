"""Augmentation: draws of noise, room and channel that are rendered here or written as lhotse cuts."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sv.base.layout import CROWD, SAMPLING_RATE
from sv.data.audio import BadAudio, is_pipe
from sv.data.manifests import cut_of, import_lhotse
from sv.data.mixing import noise_gain, power, reverberate
from sv.data.perturb import PerturbConfig
from sv.data.utterances import read_utterances
from sv.kaldi.scp import DataDirError, byte_order

MAX_REDRAWS = 20  # of a stretch of noise that turns out to be digital silence
OF_TALKERS = ("babble", CROWD)  # categories of which several recordings are summed


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Augmentation of training utterances: room, channel, noise, perturbation.

    Attributes
    ----------
    noise_prob, reverb_prob, channel_prob : float in [0, 1]
        Share of the augmented utterances that get each.
    one_of : bool
        An utterance gets a room or noise, never both: a room with `reverb_prob`, else noise with `noise_prob`.
    noises : tuple of str
        Categories, drawn uniformly; "babble+music" sums what both draw. "crowd" is babble of the training set's own
        utterances, none of them the speaker's.
    snr_db : (low, high)
        Drawn uniformly.
    music_snr_db, babble_snr_db : (low, high), optional
        Of these categories, where they differ; a crowd is babble.
    num_babble : (low, high)
        Talkers in babble, drawn uniformly, both inclusive.
    speeds : tuple of float
        Each utterance is read at each of these speeds, pitch and all; a speaker at another speed is another speaker.
    perturb : PerturbConfig
        Level, pitch and coloured noise of the utterance itself, before all else.
    snr_floor : float
        Added to both powers; 1e-4 for the behaviour of the published ExU-Net code, see `mixing.noise_gain`.
    """

    noise_prob: float = 1.0
    noises: tuple[str, ...] = ("noise", "music", "babble")
    snr_db: tuple[float, float] = (0.0, 20.0)
    music_snr_db: tuple[float, float] | None = None
    babble_snr_db: tuple[float, float] | None = None
    num_babble: tuple[int, int] = (3, 6)
    reverb_prob: float = 0.0
    one_of: bool = False
    channel_prob: float = 0.0
    speeds: tuple[float, ...] = (1.0,)
    perturb: PerturbConfig = field(default_factory=PerturbConfig)
    snr_floor: float = 0.0

    def __post_init__(self) -> None:
        for name in ("noise_prob", "reverb_prob", "channel_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("snr_db", "music_snr_db", "babble_snr_db", "num_babble"):
            low, high = getattr(self, name) or (0, 0)
            if low > high:
                raise ValueError(f"{name} must be (low, high), got {getattr(self, name)}")
        if not self.speeds or min(self.speeds) <= 0 or len(set(self.speeds)) < len(self.speeds):
            raise ValueError(f"speeds must be positive, each once, got {self.speeds}")
        if self.noise_prob > 0 and not self.noises:
            raise ValueError("noises must name a category when noise_prob > 0")

    def snr_range(self, category: str) -> tuple[float, float]:
        """Lowest and highest SNR of a category in dB."""
        own = {"music": self.music_snr_db, "babble": self.babble_snr_db, CROWD: self.babble_snr_db}
        return own.get(category) or self.snr_db


@dataclass(frozen=True, kw_only=True)
class NoisePiece:
    """`num_samples` samples of a recording from sample `start`, put at sample `offset` of the utterance."""

    recording: str
    start: int
    num_samples: int
    offset: int


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Augmentation of one utterance: room response, then channel, then noise; each may be absent."""

    category: str | None = None
    snr_db: float = 0.0
    pieces: tuple[NoisePiece, ...] = ()
    rir: str | None = None
    channel: str | None = None


def parts_of(category: str) -> list[str]:
    """The categories that a sum like "babble+music" names."""
    return category.split("+")


class Recordings:
    """The recordings of a data directory: ids in byte order, lengths in samples, files."""

    def __init__(self, data_dir: str | Path) -> None:
        if not Path(data_dir).is_dir():
            raise DataDirError(
                f"{data_dir}: no such data directory, so no noise or room responses to draw; prepare it first"
            )
        self.utterances = read_utterances(data_dir)
        self.ids = sorted(self.utterances, key=byte_order)
        if pipes := [key for key in self.ids if is_pipe(self.utterances[key].path)]:
            raise DataDirError(f"{data_dir}/wav.scp: {pipes[0]!r} is a pipe; noise is read from files only")

    @property
    def available(self) -> int:
        """Number of recordings that can be summed."""
        return len(self.ids)

    def choose(self, rng: np.random.Generator, count: int, speaker: int | None) -> list[str]:
        """Draw different recordings; whoever speaks over them, who is in no noise corpus, changes nothing here."""
        return [self.ids[i] for i in rng.choice(len(self.ids), size=count, replace=False)]

    def read(self, key: str, start: int = 0, num_samples: int | None = None) -> np.ndarray:
        """Samples of one recording."""
        return self.utterances[key].read(start, num_samples)

    def cut(self, key: str, start: int = 0, num_samples: int | None = None):
        """Samples of one recording as a lhotse cut."""
        return cut_of(key, key, self.utterances[key], start, num_samples).drop_supervisions()


class NoiseLibrary:
    """Noise by category, room responses and channels to draw from.

    Parameters
    ----------
    noise_dirs : mapping of category to data directory
        `babble` names a set of speech recordings, of which several are summed.
    rir_dir, channel_dir : path, optional
        Data directories of impulse responses.
    """

    def __init__(
        self,
        noise_dirs: Mapping[str, str | Path],
        rir_dir: str | Path | None = None,
        channel_dir: str | Path | None = None,
    ) -> None:
        self.noises = {category: Recordings(path) for category, path in noise_dirs.items()}
        self.rirs = Recordings(rir_dir) if rir_dir else None
        self.channels = Recordings(channel_dir) if channel_dir else None
        for responses, path in ((self.rirs, rir_dir), (self.channels, channel_dir)):
            if responses and any(one.start is not None for one in responses.utterances.values()):
                raise DataDirError(f"{path}/segments: impulse responses are whole files; write the parts out")
        self._drawn = (), np.empty(0)  # what was read for the last draw, which is usually rendered next

    def with_crowd(self, crowd: Recordings) -> "NoiseLibrary":
        """The library with the utterances of a training set beside it."""
        library = copy.copy(self)
        library.noises = {**self.noises, CROWD: crowd}
        return library

    def check(self, config: AugmentConfig) -> None:
        """Raise ValueError if the configuration asks for what the library does not have."""
        absent = [part for category in config.noises for part in parts_of(category) if part not in self.noises]
        if config.noise_prob > 0 and absent:
            raise ValueError(f"[augment] noises: no recordings of {absent[0]!r}; there are {sorted(self.noises)}")
        if config.reverb_prob > 0 and self.rirs is None:
            raise ValueError("[augment] reverb_prob > 0, but there are no room responses; prepare RIRS_NOISES")
        if config.channel_prob > 0 and self.channels is None:
            raise ValueError("[augment] channel_prob > 0, but there are no channels; run local/make_channels.py")

    def draw(
        self, rng: np.random.Generator, config: AugmentConfig, num_samples: int, speaker: int | None = None
    ) -> Draw:
        """Draw the augmentation of a training utterance of `num_samples`, whose speaker is in no crowd behind it."""
        rir = channel = category = None
        if rng.random() < config.reverb_prob:
            rir = self.rirs.ids[rng.integers(len(self.rirs.ids))]
        if rng.random() < config.channel_prob:
            channel = self.channels.ids[rng.integers(len(self.channels.ids))]
        if rng.random() < config.noise_prob and not (config.one_of and rir):
            category = config.noises[rng.integers(len(config.noises))]
        if category is None:
            return Draw(rir=rir, channel=channel)
        snr_db = float(rng.uniform(*config.snr_range(category)))
        pieces = self.draw_noise(rng, category, num_samples, config.num_babble, speaker)
        return Draw(category=category, snr_db=snr_db, pieces=pieces, rir=rir, channel=channel)

    def draw_noise(
        self,
        rng: np.random.Generator,
        category: str,
        num_samples: int,
        num_babble: tuple[int, int] = (3, 6),
        speaker: int | None = None,
    ) -> tuple[NoisePiece, ...]:
        """Stretches of one recording, or of several different ones for babble, that cover `num_samples`.

        A recording shorter than that is repeated from a random sample on. All are drawn again if one of them is digital
        silence there. Of a sum of categories, each is drawn.

        Raises
        ------
        DataDirError
            If there are fewer recordings than babble may need.
        BadAudio
            If the category seems to hold nothing but silence.
        """
        counts = {part: self._count(rng, part, num_babble) for part in parts_of(category)}
        for _ in range(MAX_REDRAWS):
            covers = [
                self._cover(rng, self.noises[part], key, num_samples)
                for part, count in counts.items()
                for key in self.noises[part].choose(rng, count, speaker)
            ]
            parts = [self._read_pieces(category, cover, num_samples) for cover in covers]
            if all(part.any() for part in parts):
                pieces = tuple(piece for cover in covers for piece in cover)
                self._drawn = (category, pieces, num_samples), sum(parts[1:], start=parts[0])
                return pieces
        raise BadAudio(f"{category}: {MAX_REDRAWS} draws in a row were silent")

    def _count(self, rng: np.random.Generator, category: str, num_babble: tuple[int, int]) -> int:
        if category not in OF_TALKERS:
            return 1
        available = self.noises[category].available
        if available < num_babble[1]:
            raise DataDirError(
                f"{category}: up to {num_babble[1]} different recordings are summed, there are {available}; "
                "add speech recordings, or lower num_babble"
            )
        return int(rng.integers(num_babble[0], num_babble[1] + 1))

    def _recordings(self, category: str, key: str) -> Recordings:
        return next(self.noises[part] for part in parts_of(category) if key in self.noises[part].utterances)

    @staticmethod
    def _cover(rng: np.random.Generator, recordings: Recordings, key: str, num_samples: int) -> tuple[NoisePiece, ...]:
        available = recordings.utterances[key].num_samples
        if available >= num_samples:
            start = int(rng.integers(available - num_samples + 1))
            return (NoisePiece(recording=key, start=start, num_samples=num_samples, offset=0),)
        pieces, offset, start = [], 0, int(rng.integers(available))
        while offset < num_samples:
            length = min(available - start, num_samples - offset)
            pieces.append(NoisePiece(recording=key, start=start, num_samples=length, offset=offset))
            offset, start = offset + length, 0
        return tuple(pieces)

    def sum_of(self, category: str, pieces: tuple[NoisePiece, ...], num_samples: int) -> np.ndarray:
        """The pieces added up at their offsets, (num_samples,) float32, at their recordings' own levels."""
        what, total = self._drawn
        return total if what == (category, pieces, num_samples) else self._read_pieces(category, pieces, num_samples)

    def _read_pieces(self, category: str, pieces: tuple[NoisePiece, ...], num_samples: int) -> np.ndarray:
        if len(pieces) == 1 and pieces[0].num_samples == num_samples:  # the usual case, without a copy
            return self._recordings(category, pieces[0].recording).read(
                pieces[0].recording, pieces[0].start, num_samples
            )
        total = np.zeros(num_samples, dtype=np.float32)
        for piece in pieces:
            recordings = self._recordings(category, piece.recording)
            part = recordings.read(piece.recording, piece.start, piece.num_samples)
            total[piece.offset : piece.offset + piece.num_samples] += part
        return total

    def gain(self, draw: Draw, speech: np.ndarray, noise: np.ndarray, floor: float = 0.0) -> float:
        """Factor on the sum of the pieces."""
        return noise_gain(power(speech), power(noise), draw.snr_db, floor)

    def _responses(self, draw: Draw) -> list[tuple[Recordings, str]]:
        """The impulse responses of a draw, in the order in which speech passes them."""
        named = ((self.rirs, draw.rir), (self.channels, draw.channel))
        return [(recordings, key) for recordings, key in named if key is not None]

    def apply(self, draw: Draw, speech: np.ndarray, floor: float = 0.0) -> np.ndarray:
        """Augment (samples,) speech as drawn; silence stays as it is, since its SNR is undefined."""
        for recordings, key in self._responses(draw):
            speech = reverberate(speech, recordings.read(key))
        if draw.category is None or not speech.any():
            return speech
        noise = self.sum_of(draw.category, draw.pieces, len(speech))
        mixed = np.float32(self.gain(draw, speech, noise, floor)) * noise
        mixed += speech
        return mixed

    def to_cut(self, draw: Draw, cut, speech: np.ndarray, floor: float = 0.0):
        """The augmented utterance as a lhotse cut that renders to the samples of `apply`.

        Parameters
        ----------
        draw : Draw
        cut : lhotse.MonoCut
            The clean utterance.
        speech : (samples,) numpy.ndarray
            Its audio, from which the levels are computed.

        Notes
        -----
        lhotse scales each track on its own, by sqrt(E_speech 10^(-snr/10) / E_track) with E the mean square over that
        track's samples alone. Each piece is therefore given the SNR that makes its factor the common gain of the whole
        noise: looped noise has no steps in level, babble has the SNR of its sum, exactly.
        """
        lhotse = import_lhotse()
        base = cut
        for recordings, key in self._responses(draw):
            base = base.reverb_rir(recordings.cut(key).recording, affix_id=False)
            speech = reverberate(speech, recordings.read(key))
        if draw.category is None or not speech.any():
            return base
        gain = self.gain(draw, speech, self.sum_of(draw.category, draw.pieces, len(speech)), floor)
        tracks = [lhotse.cut.MixTrack(cut=base)]
        for number, piece in enumerate(draw.pieces):
            recordings = self._recordings(draw.category, piece.recording)
            samples = recordings.read(piece.recording, piece.start, piece.num_samples)
            if not samples.any():
                continue
            noise_cut = recordings.cut(piece.recording, piece.start, piece.num_samples).with_id(
                f"{cut.id}-noise{number}"
            )
            snr_db = 10 * np.log10(power(speech) / (gain**2 * power(samples)))
            offset = piece.offset / SAMPLING_RATE
            tracks.append(lhotse.cut.MixTrack(cut=noise_cut, offset=offset, snr=float(snr_db), tag="noise"))
        return lhotse.cut.MixedCut(id=cut.id, tracks=tracks)
