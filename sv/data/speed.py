"""Speed perturbation: tempo and pitch together, as `sox speed` and lhotse's `perturb_speed` do it."""

from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch

from sv.base.layout import SAMPLING_RATE
from sv.base.packages import require


def speed_ratio(speed: float) -> Fraction:
    """The speed as the ratio of whole sampling rates that lhotse resamples by."""
    return Fraction(round(SAMPLING_RATE * speed), SAMPLING_RATE)


def samples_before(num_samples: int, speed: float) -> int:
    """Number of samples that become at least `num_samples` at that speed."""
    ratio = speed_ratio(speed)
    return -(-num_samples * ratio.numerator // ratio.denominator)


def change_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Play (samples,) float32 `speed` times as fast: (ceil(samples / speed),) float32."""
    return samples if speed == 1 else _resampler(speed_ratio(speed))(torch.from_numpy(samples)).numpy()


@lru_cache
def _resampler(ratio: Fraction) -> torch.nn.Module:
    require("a change of speed", "recipes", "torchaudio")
    from torchaudio.transforms import Resample  # takes a second to import, for those who change no speed

    return Resample(ratio.numerator, ratio.denominator)
