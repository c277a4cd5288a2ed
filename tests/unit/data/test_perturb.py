import numpy as np
import pytest

from sv.base.seeding import generator
from sv.data.mixing import measure_snr_db, power
from sv.data.perturb import PerturbConfig, coloured_noise, perturb, shift_pitch, stretch

TIME = np.arange(32_000) / 16_000
TONE = (0.1 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)


def peak_hz(samples: np.ndarray) -> float:
    middle = samples[4_000:-4_000]
    return float(np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))) * 16_000 / len(middle))


@pytest.mark.parametrize("semitones", [-4.0, -1.5, 0.0, 2.7, 12.0])
def test_pitch_moves_by_semitones_and_length_and_level_stay(semitones: float) -> None:
    shifted = shift_pitch(TONE, semitones)
    assert shifted.shape == TONE.shape
    assert shifted.dtype == np.float32
    assert peak_hz(shifted) == pytest.approx(440 * 2 ** (semitones / 12), abs=1.0)
    assert power(shifted[4_000:-4_000]) == pytest.approx(power(TONE), rel=0.3)  # the vocoder's bins drift apart


def test_no_shift_gives_the_signal_back() -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(16_000).astype(np.float32)
    np.testing.assert_allclose(shift_pitch(samples, 0.0)[1_000:-1_000], samples[1_000:-1_000], atol=0.02)


@pytest.mark.parametrize("ratio", [0.8, 1.0, 1.26])
def test_stretching_changes_the_length_and_not_the_pitch(ratio: float) -> None:
    stretched = stretch(TONE, ratio)
    assert len(stretched) == round(ratio * len(TONE))
    assert peak_hz(stretched) == pytest.approx(440, abs=1.0)


@pytest.mark.parametrize("decay", [-2.0, 0.0, 1.0, 2.0])
def test_colour_is_the_slope_of_the_spectrum(decay: float) -> None:
    noise = coloured_noise(1 << 17, decay, np.random.default_rng(1))
    assert power(noise) == pytest.approx(1.0, rel=1e-3)
    amplitude = np.abs(np.fft.rfft(noise))
    position = np.linspace(1, np.sqrt(8_000), len(amplitude))
    band = slice(1_000, None)
    slope = np.polyfit(np.log(position[band]), np.log(amplitude[band]), 1)[0]
    assert slope == pytest.approx(-decay, abs=0.05)


def test_each_perturbation_stays_in_its_range() -> None:
    for number in range(20):
        louder = perturb(TONE, generator("gain", number), PerturbConfig(gain_prob=1.0))
        assert -15 <= 10 * np.log10(power(louder) / power(TONE)) <= 5
        np.testing.assert_allclose(louder / louder.max(), TONE / TONE.max(), atol=1e-5)
        noisy = perturb(TONE, generator("noise", number), PerturbConfig(coloured_prob=1.0))
        assert 3 - 1e-3 <= measure_snr_db(TONE, noisy) <= 30 + 1e-3
        shifted = perturb(TONE, generator("pitch", number), PerturbConfig(pitch_prob=1.0))
        assert 440 * 2 ** (-4 / 12) - 1 <= peak_hz(shifted) <= 440 * 2 ** (4 / 12) + 1


def test_probabilities_are_those_of_the_configuration() -> None:
    config = PerturbConfig(gain_prob=0.2, coloured_prob=0.2)
    changed = [not np.array_equal(perturb(TONE[:800], generator(i), config), TONE[:800]) for i in range(600)]
    assert np.mean(changed) == pytest.approx(1 - 0.8**2, abs=0.08)  # four standard deviations
    assert PerturbConfig().is_off
    assert not config.is_off
    np.testing.assert_array_equal(perturb(TONE, generator(0), PerturbConfig()), TONE)


def test_silence_stays_silence() -> None:
    always = PerturbConfig(gain_prob=1.0, pitch_prob=1.0, coloured_prob=1.0)
    assert not perturb(np.zeros(4_000, np.float32), generator(0), always).any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gain_prob": 1.2}, r"gain_prob must be in \[0, 1\], got 1.2"),
        ({"pitch_semitones": (4.0, -4.0)}, r"pitch_semitones must be \(low, high\), got \(4.0, -4.0\)"),
    ],
)
def test_config_names_what_is_wrong(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PerturbConfig(**values)
