import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sv.models.rawnet.sincnet import (
    FrozenSincFilters,
    FrozenSincPairs,
    hamming_window,
    sinc_filters,
    sinc_pairs,
    sincnet_window,
)


def test_even_filters_by_numbers_of_the_published_code() -> None:
    filters = sinc_filters(128).filters().detach()
    assert filters.shape == (128, 251)
    assert filters.double().abs().sum().item() == pytest.approx(9073.650544, abs=2e-3)
    assert filters[0, 0].item() == pytest.approx(0.03607676, abs=1e-7)
    assert filters[0, 124].item() == pytest.approx(0.99886066, abs=1e-6)
    assert filters[127, 124].item() == pytest.approx(-0.99867743, abs=1e-6)


def test_pairs_of_filters_by_numbers_of_the_published_code() -> None:
    filters = sinc_pairs(128, 10).filters().detach()
    assert filters.shape == (256, 251)
    assert filters.double().abs().sum().item() == pytest.approx(18140.295826, abs=4e-3)
    assert filters[0, 124].item() == pytest.approx(0.99885970, abs=1e-6)
    np.testing.assert_allclose(filters[128, 124:127], [-0.04399892, 0, 0.04399892], atol=1e-7)


def test_initial_bands_in_either_precision() -> None:
    np.testing.assert_allclose(sinc_filters(128).low_hz[:2].detach().flatten(), [30.0, 44.2030], atol=5e-5)
    expected = [30.000019, 44.202950, 58.682335]
    # To the rounding of the processor's float32 logarithm: 8e-5 Hz without AVX-512.
    np.testing.assert_allclose(sinc_pairs(128, 10).low_hz[:3].detach().flatten(), expected, rtol=5e-6)


def test_the_two_windows_are_close_but_not_the_same() -> None:
    difference = (sincnet_window() - hamming_window()).abs().max().item()
    assert difference == pytest.approx(2.7e-5, abs=5e-7)


@pytest.mark.parametrize("odd", [False, True])
def test_filters_are_even_and_odd_about_a_centre(odd: bool) -> None:
    filters = sinc_pairs(4, 1).filters()[4 if odd else 0 :][:4]
    torch.testing.assert_close(filters.flip(1), -filters if odd else filters)
    torch.testing.assert_close(filters[:, 125], torch.zeros(4) if odd else torch.ones(4))


def test_an_even_filter_passes_its_band() -> None:
    sinc = sinc_filters(8)
    low, high = (hz.detach().numpy() for hz in sinc.cutoffs())
    spectrum = np.abs(np.fft.rfft(sinc.filters().detach().numpy(), 16_000))  # a bin a Hz
    for band in range(8):
        gain = spectrum[band] * (2 * (high - low)[band] / 16_000)
        centre = int((low + high)[band, 0] / 2)
        assert gain[centre] == pytest.approx(1, abs=0.02 if band > 2 else 0.5)
        outside = np.r_[gain[: max(0, int(low[band, 0]) - 150)], gain[int(high[band, 0]) + 150 :]]
        assert outside.max(initial=0) < 0.01


def test_cutoffs_stay_in_order_and_below_the_nyquist_frequency() -> None:
    sinc = sinc_filters(3)
    with torch.no_grad():
        sinc.low_hz.copy_(torch.tensor([[-100.0], [7000.0], [0.0]]))
        sinc.band_hz.copy_(torch.tensor([[-30.0], [5000.0], [0.0]]))
    low, high = sinc.cutoffs()
    assert low.flatten().tolist() == [150, 7050, 50]
    assert high.flatten().tolist() == [230, 8000, 100]


def test_filtering_is_a_correlation_without_padding() -> None:
    sinc = sinc_pairs(2, 10)
    waveforms = torch.randn(2, 1, 300)
    maps = sinc(waveforms)
    assert maps.shape == (2, 4, (300 - 251) // 10 + 1)
    by_hand = (waveforms[1, 0, 20:271] * sinc.filters()[3]).sum()
    torch.testing.assert_close(maps[1, 3, 2], by_hand, atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_samples", [253, 254, 255, 400])
def test_pooled_magnitude_is_filtering_then_pooling(num_samples: int) -> None:
    sinc, waveforms = sinc_filters(4), torch.randn(2, 1, num_samples)
    by_steps = F.max_pool1d(sinc(waveforms).abs(), 3)
    torch.testing.assert_close(sinc.pooled_magnitude(waveforms, 3), by_steps, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_samples", [253, 255, 3 * 1024 + 250, 3 * 1024 + 253, 10_000])
def test_frozen_filters_fold_their_window_and_change_nothing(num_samples: int) -> None:
    sinc, waveforms = sinc_filters(4), torch.randn(2, 1, num_samples)
    frozen = FrozenSincFilters(sinc).pooled_magnitude(waveforms, 3)
    torch.testing.assert_close(frozen, sinc.pooled_magnitude(waveforms, 3), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_samples", [260, 3000])
@pytest.mark.parametrize("wants_waveforms", [False, True])
def test_gradients_of_the_pooled_magnitude(num_samples: int, wants_waveforms: bool, monkeypatch) -> None:
    monkeypatch.setattr("sv.models.rawnet.sincnet.CHUNK_FRAMES", 300)
    torch.manual_seed(0)
    sinc = sinc_filters(4).double()
    waveforms = torch.randn(2, 1, num_samples, dtype=torch.float64, requires_grad=wants_waveforms)
    wanted = [waveforms] * wants_waveforms + [sinc.low_hz, sinc.band_hz]
    maps = sinc.pooled_magnitude(waveforms, 3)
    upstream = torch.randn_like(maps)
    expected = torch.autograd.grad(F.max_pool1d(sinc(waveforms).abs(), 3), wanted, upstream)
    torch.testing.assert_close(torch.autograd.grad(maps, wanted, upstream), expected, atol=1e-10, rtol=1e-10)


def test_silence_has_a_gradient_of_zero() -> None:
    sinc, waveforms = sinc_filters(4), torch.zeros(1, 1, 500, requires_grad=True)
    maps = sinc.pooled_magnitude(waveforms, 3)
    gradients = torch.autograd.grad(maps.sum(), [waveforms, sinc.low_hz, sinc.band_hz])
    assert not any(gradient.any() for gradient in gradients)


def test_frozen_pairs_change_nothing() -> None:
    sinc, waveforms = sinc_pairs(4, 10), torch.randn(2, 1, 2000)
    torch.testing.assert_close(FrozenSincPairs(sinc)(waveforms), sinc(waveforms), atol=1e-5, rtol=1e-5)


def test_filters_stay_in_single_precision_under_autocast() -> None:
    sinc = sinc_filters(4)
    waveforms = torch.randn(1, 1, 400)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = sinc(waveforms)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps, F.conv1d(waveforms, sinc.filters()[:, None]))


def test_only_the_bands_are_stored() -> None:
    assert sorted(sinc_pairs(4, 1).state_dict()) == ["band_hz", "low_hz"]
