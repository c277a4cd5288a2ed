"""Changes to a recording itself, made before anything is added to it: level, pitch, coloured noise; on (samples,) arrays."""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from sv.base.layout import SAMPLING_RATE
from sv.data.mixing import mix_at_snr

WINDOW, HOP = 1024, 256  # of the phase vocoder, in samples


@dataclass(frozen=True, kw_only=True)
class PerturbConfig:
    """Independent perturbations, those of the published Diff-SV code where they are used.

    Attributes
    ----------
    gain_prob, pitch_prob, coloured_prob : float in [0, 1]
        Share of the augmented utterances.
    gain_db : (low, high)
    pitch_semitones : (low, high)
        Duration stays.
    coloured_snr_db : (low, high)
        Of noise whose amplitude falls over frequency as 1 / position^`decay`, see `coloured_noise`.
    coloured_decay : (low, high)
        All ranges are drawn from uniformly.
    """

    gain_prob: float = 0.0
    gain_db: tuple[float, float] = (-15.0, 5.0)
    pitch_prob: float = 0.0
    pitch_semitones: tuple[float, float] = (-4.0, 4.0)
    coloured_prob: float = 0.0
    coloured_snr_db: tuple[float, float] = (3.0, 30.0)
    coloured_decay: tuple[float, float] = (-2.0, 2.0)

    def __post_init__(self) -> None:
        for name in ("gain_prob", "pitch_prob", "coloured_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("gain_db", "pitch_semitones", "coloured_snr_db", "coloured_decay"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be (low, high), got {(low, high)}")

    @property
    def is_off(self) -> bool:
        """True if nothing is ever perturbed."""
        return max(self.gain_prob, self.pitch_prob, self.coloured_prob) == 0


def perturb(samples: np.ndarray, rng: np.random.Generator, config: PerturbConfig) -> np.ndarray:
    """Perturb (samples,) float32 speech as `rng` draws; length stays, and silence stays silence."""
    if rng.random() < config.gain_prob:
        samples = samples * np.float32(10 ** (rng.uniform(*config.gain_db) / 20))
    if rng.random() < config.pitch_prob:
        samples = shift_pitch(samples, rng.uniform(*config.pitch_semitones))
    if rng.random() < config.coloured_prob:
        snr_db, decay = rng.uniform(*config.coloured_snr_db), rng.uniform(*config.coloured_decay)
        if samples.any():
            samples = mix_at_snr(samples, coloured_noise(len(samples), decay, rng), snr_db)
    return samples


def coloured_noise(num_samples: int, decay: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of unit power with a sloping spectrum, (num_samples,) float32.

    Amplitudes are divided by p^decay, where p rises linearly in frequency from 1 to the root of the highest one in Hz:
    white for 0, falling for positive, rising for negative ones.
    """
    spectrum = fft.rfft(rng.standard_normal(num_samples, dtype=np.float32))
    position = np.linspace(1, np.sqrt(SAMPLING_RATE / 2), len(spectrum), dtype=np.float32)
    noise = fft.irfft(spectrum * position**-decay, num_samples)
    return (noise / np.sqrt(np.mean(np.square(noise)))).astype(np.float32)


def shift_pitch(samples: np.ndarray, semitones: float) -> np.ndarray:
    """Shift the pitch of (samples,) speech and keep its duration: stretched in time, then read faster or slower."""
    from scipy.signal import resample  # a second to import, for those who shift pitch

    ratio = 2 ** (semitones / 12)
    return resample(stretch(samples, ratio), len(samples)).astype(np.float32)


def stretch(samples: np.ndarray, ratio: float) -> np.ndarray:
    """Make (samples,) speech `ratio` times as long at the same pitch, by a phase vocoder (Flanagan and Golden 1966)."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)  # Hann's
    padded = np.pad(samples, (WINDOW // 2, WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectra = fft.rfft(frames * window)  # (frames, bins)
    positions = np.arange(0, len(spectra) - 1, 1 / ratio)
    before, share = positions.astype(int), (positions % 1)[:, None]
    magnitude, phase = np.abs(spectra), np.angle(spectra)
    magnitude = (1 - share) * magnitude[before] + share * magnitude[before + 1]
    expected = 2 * np.pi * HOP / WINDOW * np.arange(spectra.shape[1])
    advance = phase[before + 1] - phase[before] - expected
    advance += expected - 2 * np.pi * np.round(advance / (2 * np.pi))
    phase = phase[0] + np.concatenate([np.zeros((1, len(expected))), np.cumsum(advance[:-1], axis=0)])
    rendered = fft.irfft(magnitude * np.exp(1j * phase), WINDOW) * window
    return overlap_add(rendered, window**2)[WINDOW // 2 :][: round(len(samples) * ratio)].astype(np.float32)


def overlap_add(frames: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sum (frames, window) at `HOP` samples from each other, over the sum of the (window,) weights there."""
    length = (len(frames) - 1) * HOP + frames.shape[1]
    total, weights = np.zeros(length), np.full(length, 1e-3)
    for number, frame in enumerate(frames):
        here = slice(number * HOP, number * HOP + len(frame))
        total[here] += frame
        weights[here] += weight
    return total / weights
