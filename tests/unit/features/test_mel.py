import pytest
import torch

from sv.features.mel import MelFilters, power_spectrum, triangles


def test_triangles_by_hand() -> None:
    weights = triangles(torch.tensor([0.0, 2.0, 4.0, 8.0]), torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0]))
    assert weights.tolist() == [[0, 0.5, 1, 0.5, 0, 0, 0], [0, 0, 0, 0.5, 1, 0.5, 0]]


def test_power_spectrum_of_three_four_is_twenty_five() -> None:
    assert power_spectrum(torch.tensor([[3 + 4j, 1j]])).tolist() == [[25.0, 1.0]]


@pytest.mark.parametrize("num_filters", [1, 3, 30])
def test_blocks_give_the_dense_product(num_filters: int) -> None:
    weights = triangles(torch.linspace(0, 256, num_filters + 2), torch.arange(257.0))
    power = torch.rand(2, 11, 257)
    torch.testing.assert_close(MelFilters(weights)(power), torch.einsum("mk,bfk->bmf", weights, power))


def test_an_empty_filter_is_named() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="filter 1 covers no FFT bin"):
        MelFilters(weights)
