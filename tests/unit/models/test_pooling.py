import pytest
import torch

from sv.models.pooling import attention_layers, weighted_statistics


def test_statistics_of_two_positions_by_hand() -> None:
    values = torch.tensor([[[1.0, 5.0]]])
    weights = torch.tensor([[[0.25, 0.75]]])
    # mean 0.25 + 3.75 = 4; variance 0.25 * 9 + 0.75 * 1 = 3
    assert weighted_statistics(values, weights)[0].tolist() == pytest.approx([4.0, 3**0.5])


def test_variance_of_a_constant_is_floored_with_a_finite_gradient() -> None:
    values = torch.full((1, 2, 4), 3.0, requires_grad=True)
    pooled = weighted_statistics(values, torch.full((1, 2, 4), 0.25))
    pooled.sum().backward()
    assert pooled[0].tolist() == pytest.approx([3.0, 3.0, 1e-5**0.5, 1e-5**0.5], rel=1e-3)
    assert torch.isfinite(values.grad).all()


def test_equal_scores_give_plain_mean_and_standard_deviation() -> None:
    attention = attention_layers(16).eval()
    torch.nn.init.zeros_(attention[3].weight)
    values = torch.randn(2, 16, 50)
    pooled = weighted_statistics(values, attention(values))
    expected = torch.cat([values.mean(dim=2), values.std(dim=2, unbiased=False)], dim=1)
    torch.testing.assert_close(pooled, expected)


def test_weights_of_each_channel_sum_to_one() -> None:
    values = torch.randn(3, 16, 7)
    torch.testing.assert_close(attention_layers(16).eval()(values).sum(dim=-1), torch.ones(3, 16))
