import numpy as np
import pytest

from sv.data.quality import FRAME, estimate_snr


def speech_and_noise(snr_db: float, seed: int = 0) -> np.ndarray:
    """Five seconds of which a third is silence, under white noise at the ratio of their mean powers."""
    rng = np.random.default_rng(seed)
    speech = rng.normal(size=80_000) * np.repeat(np.arange(50) % 3 > 0, 1600) * np.repeat(rng.uniform(0.3, 1, 50), 1600)
    noise = rng.normal(size=len(speech))
    return speech + noise * np.sqrt(np.square(speech).mean() / np.square(noise).mean() * 10 ** (-snr_db / 10))


@pytest.mark.parametrize("snr_db", [0.0, 5.0, 10.0, 20.0, 40.0])
def test_steady_noise_under_speech_with_pauses_is_measured(snr_db) -> None:
    assert estimate_snr(speech_and_noise(snr_db)) == pytest.approx(snr_db, abs=1.0)


def test_level_is_of_no_account() -> None:
    samples = speech_and_noise(10)
    assert estimate_snr(0.01 * samples) == pytest.approx(estimate_snr(samples), abs=1e-9)


def test_extremes_are_finite() -> None:
    assert estimate_snr(np.zeros(4000)) == -10
    assert estimate_snr(np.ones(4000)) == -10  # nothing but what the faintest frames hold
    assert estimate_snr(np.append(np.zeros(4000), np.ones(4000))) == 60


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="799 samples are too few to tell speech from noise; 800 are needed"):
        estimate_snr(np.ones(2 * FRAME - 1))
