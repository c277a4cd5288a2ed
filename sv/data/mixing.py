"""The arithmetic of noise and reverberation, on (samples,) arrays."""

import numpy as np
from scipy import fft

NUM_BLOCKS = 4  # of a convolution: SciPy transforms four float32 rows in the time of one and a half


def power(samples: np.ndarray) -> float:
    """Mean square, accumulated in double precision."""
    # Not np.dot: BLAS would start threads for it, in each of the processes that read data.
    return float(np.square(samples).mean(dtype=np.float64))


def noise_gain(speech_power: float, noise_power: float, snr_db: float, floor: float = 0.0) -> float:
    """Factor on the noise that puts it `snr_db` below the speech.

    Parameters
    ----------
    speech_power, noise_power : float
        Mean squares.
    floor : float
        Added to both powers. 1e-4 is what the published ExU-Net and Diff-SV code does; the true SNR of quiet noise is
        then higher than asked, by 15 dB and more.

    Raises
    ------
    ValueError
        If a power is zero: the SNR is undefined.
    """
    if speech_power + floor <= 0 or noise_power + floor <= 0:
        raise ValueError("SNR is undefined: speech or noise has zero power")
    return float(np.sqrt((speech_power + floor) / (noise_power + floor) * 10 ** (-snr_db / 10)))


def mix_at_snr(speech: np.ndarray, noise: np.ndarray, snr_db: float, floor: float = 0.0) -> np.ndarray:
    """Add noise, scaled to a mean-power ratio of `snr_db`, to untouched speech; both (samples,)."""
    if speech.shape != noise.shape:
        raise ValueError(f"speech is {speech.shape}, noise {noise.shape}: crop or tile first")
    return speech + np.float32(noise_gain(power(speech), power(noise), snr_db, floor)) * noise


def reverberate(speech: np.ndarray, rir: np.ndarray) -> np.ndarray:
    """Convolve with a room response, aligned to its peak; length and power of the speech are kept.

    Parameters
    ----------
    speech : (samples,) float32 numpy.ndarray
    rir : (taps,) float32 numpy.ndarray

    Notes
    -----
    What lhotse's `ReverbWithImpulseResponse` computes (as does Kaldi's wav-reverberate with --shift-output).
    """
    wet = _convolve(speech, rir, int(np.argmax(rir)))
    wet_power = power(wet)
    if wet_power > 0:
        wet *= np.float32(np.sqrt(power(speech) / wet_power))
    return wet


def convolve(speech: np.ndarray, rir: np.ndarray) -> np.ndarray:
    """The whole convolution, (samples + taps - 1,) float32.

    To the same bits by any number of threads, and on any processor with AVX2.
    """
    return _convolve(np.pad(speech, (0, len(rir) - 1)), rir, 0)


def _convolve(speech: np.ndarray, rir: np.ndarray, first: int) -> np.ndarray:
    """Samples [first, first + len(speech)) of the convolution, 0 <= first < len(rir); (samples,) float32.

    Overlap-save: each block starts len(rir) - 1 samples before the first output that is kept of it.
    """
    overlap = len(rir) - 1
    step = -(-len(speech) // NUM_BLOCKS)
    length = fft.next_fast_len(step + overlap, real=True)
    padded = np.zeros((NUM_BLOCKS - 1) * step + length, dtype=np.float32)
    lead = overlap - first
    padded[lead : lead + len(speech)] = speech[: len(padded) - lead]
    blocks = np.ndarray((NUM_BLOCKS, length), np.float32, padded, strides=(4 * step, 4))  # which overlap
    spectrum = fft.rfft(blocks)
    spectrum *= fft.rfft(rir, length)
    return fft.irfft(spectrum, length)[:, overlap : overlap + step].reshape(-1)[: len(speech)]


def measure_snr_db(speech: np.ndarray, mixed: np.ndarray) -> float:
    """Mean-power ratio in dB of `speech` to what was added to it."""
    return 10 * float(np.log10(power(speech) / power(mixed.astype(np.float64) - speech)))
