import numpy as np
import pytest

from local.make_channels import NUM_TAPS, main, random_channel
from sv.base.seeding import generator
from sv.data.augment import Recordings
from sv.kaldi.data_dir import validate_data_dir


def test_the_set_is_a_data_directory_that_depends_on_the_seed_alone(tmp_path):
    for name, count, seed in (("a", 5, 0), ("b", 3, 0), ("c", 3, 1)):
        main(["--num-channels", str(count), "--seed", str(seed), str(tmp_path / name)])
    a, b, c = (Recordings(tmp_path / name / "channels") for name in "abc")
    assert validate_data_dir(tmp_path / "a/channels") == []
    assert len(a.ids) == 5
    for key in b.ids:
        np.testing.assert_array_equal(a.read(key), b.read(key))
        assert not np.array_equal(b.read(key), c.read(key))
        assert a.utterances[key].num_samples == NUM_TAPS == len(a.read(key))


def test_the_peak_is_in_the_middle_and_the_pass_band_wanders_by_some_decibels():
    hz = np.fft.rfftfreq(NUM_TAPS, 1 / 16_000)
    inner = (hz > 400) & (hz < 2_500)  # within any band limits
    spreads = []
    for number in range(50):
        taps = random_channel(generator(0, "channel", number))
        assert np.argmax(taps) == NUM_TAPS // 2
        assert taps.max() == pytest.approx(0.5)
        spreads.append(np.std(20 * np.log10(np.abs(np.fft.rfft(taps))[inner])))
    assert 1 < np.median(spreads) < 6


def test_band_limits_are_drawn_in_about_seven_of_ten():
    hz = np.fft.rfftfreq(NUM_TAPS, 1 / 16_000)
    middle, top = (hz > 1_000) & (hz < 2_500), hz > 7_900
    responses = [np.abs(np.fft.rfft(random_channel(generator(1, "channel", number)))) for number in range(300)]
    limited = [20 * np.log10(r[middle].mean() / r[top].mean()) > 20 for r in responses]
    assert 0.55 < np.mean(limited) < 0.8
