import numpy as np
import pytest
from scipy.signal import fftconvolve

from sv.data.audio import read_samples
from sv.data.manifests import import_lhotse
from sv.data.mixing import measure_snr_db, mix_at_snr, noise_gain, power, reverberate


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_snr_measured_back(noise, snr_db):
    speech, disturbance = noise(0, 16_000, 0.1), noise(1, 16_000, 0.003)
    assert measure_snr_db(speech, mix_at_snr(speech, disturbance, snr_db)) == pytest.approx(snr_db, abs=1e-4)


def test_power_of_a_sine_is_half_its_squared_amplitude():
    assert power(np.float32(0.3) * np.sin(2 * np.pi * np.arange(1000) / 100, dtype=np.float32)) == pytest.approx(0.045)


@pytest.mark.parametrize(("noise_power", "true_snr_db"), [(3.0e-6, 15.0), (3.3e-3, -0.21)])
def test_the_published_floor_moves_the_snr(noise_power, true_snr_db):
    speech_power = 1.25e-3
    gain = noise_gain(speech_power, noise_power, 0.0, floor=1e-4)
    assert 10 * np.log10(speech_power / (gain**2 * noise_power)) == pytest.approx(true_snr_db, abs=0.05)


@pytest.mark.parametrize(("speech_power", "noise_power"), [(0.0, 1.0), (1.0, 0.0)])
def test_silence_has_no_snr(speech_power, noise_power):
    with pytest.raises(ValueError, match="SNR is undefined: speech or noise has zero power"):
        noise_gain(speech_power, noise_power, 0.0)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"speech is \(3,\), noise \(4,\): crop or tile first"):
        mix_at_snr(np.ones(3), np.ones(4), 0.0)


@pytest.mark.parametrize("num_taps", [1, 7, 800, 4001, 20_000])
@pytest.mark.parametrize("num_samples", [5, 1601, 16_000])
def test_reverberation_is_the_convolution_from_the_peak_on_with_the_power_kept(noise, num_taps, num_samples):
    speech = noise(2, num_samples)
    rir = noise(3, num_taps) * np.exp(-np.arange(num_taps) / 300).astype(np.float32)
    peak = num_taps // 3
    rir[peak] = 1.0
    wet = reverberate(speech, rir)
    expected = fftconvolve(speech.astype(np.float64), rir)[peak : peak + num_samples]
    expected *= np.sqrt(power(speech) / power(expected))
    np.testing.assert_allclose(wet, expected, atol=2e-6 * np.abs(expected).max())
    assert wet.dtype == np.float32


def test_a_pulse_changes_nothing(noise):
    speech = noise(4, 5000)
    np.testing.assert_allclose(reverberate(speech, np.array([0, 0, 0.25, 0], np.float32)), speech, atol=1e-6)


def test_a_silent_room_stays_silent(noise):
    assert not reverberate(noise(5, 100), np.zeros(10, np.float32)).any()


def test_reverberation_equals_lhotse(noise, make_set):
    rir = noise(6, 6000, 0.05) * np.exp(-np.arange(6000) / 900).astype(np.float32)
    rir[40] = 0.9
    folder = make_set("rirs", {"room": rir})
    speech = noise(7, 20_000)
    transform = import_lhotse().augmentation.ReverbWithImpulseResponse(
        rir=import_lhotse().Recording.from_file(folder / "room.wav")
    )
    expected = transform(speech[None], 16_000)[0]
    wet = reverberate(speech, read_samples(folder / "room.wav"))
    np.testing.assert_allclose(wet, expected, atol=2e-6 * np.abs(expected).max())
