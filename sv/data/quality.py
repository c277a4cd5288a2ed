"""Quality of a recording, estimated from its samples alone."""

import numpy as np

FRAME = 400  # samples, 25 ms at 16 kHz
NOISE_SHARE = 0.15  # of the frames, the faintest, taken for noise alone
LIMITS_DB = (-10.0, 60.0)


def estimate_snr(samples: np.ndarray) -> float:
    """Signal-to-noise ratio in dB, from the power of the faintest frames against that of all; a rough measure.

    Right within a few decibels for steady noise under speech with pauses; too high for noise that itself has pauses.

    Parameters
    ----------
    samples : (samples,) numpy.ndarray
        At 16 kHz.

    Raises
    ------
    ValueError
        If there are fewer samples than two frames.
    """
    count = len(samples) // FRAME
    if count < 2:
        raise ValueError(f"{len(samples)} samples are too few to tell speech from noise; {2 * FRAME} are needed")
    powers = np.sort(np.square(samples[: count * FRAME].reshape(count, FRAME), dtype=np.float64).mean(axis=1))
    noise = powers[: max(1, int(NOISE_SHARE * count))].mean()
    low, high = LIMITS_DB
    if noise == 0 or powers.mean() <= noise:
        return high if powers.mean() > noise else low
    return float(np.clip(10 * np.log10((powers.mean() - noise) / noise), low, high))
