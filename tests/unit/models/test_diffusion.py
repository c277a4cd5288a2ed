"""Schedule, samplers and score network: closed forms, and numbers computed with the published code."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.diffusion import (
    CPU_BATCH,
    AddedAttention,
    Mish,
    ScoreNet,
    accumulated_noise,
    diffuse,
    noise_rate,
    noise_variance,
    sample,
    signal_scale,
    time_embedding,
)

TIMES = torch.tensor([0.3, 0.7], dtype=torch.float64)


def test_schedule() -> None:
    assert accumulated_noise(TIMES).tolist() == pytest.approx([0.91275, 4.92275], rel=1e-6)
    assert noise_variance(TIMES).tolist() == pytest.approx([0.598581, 0.992721], rel=1e-5)
    assert noise_rate(TIMES).tolist() == pytest.approx([6.035, 14.015], rel=1e-6)
    assert signal_scale(torch.tensor([1.0])).item() == pytest.approx(0.00665, rel=1e-3)


def test_accumulated_noise_is_the_integral_of_the_rate() -> None:
    grid = torch.linspace(0, 0.7, 10_001, dtype=torch.float64)
    assert torch.trapezoid(noise_rate(grid), grid).item() == pytest.approx(accumulated_noise(TIMES)[1].item(), rel=1e-9)


def test_state_has_the_scale_and_variance_of_the_schedule() -> None:
    clean, prior, noise = (
        torch.full((2, 1, 1), 3.0).double(),
        torch.ones(2, 1, 1).double(),
        torch.ones(2, 1, 1).double(),
    )
    scale, spread = signal_scale(TIMES), noise_variance(TIMES).sqrt()
    expected = 3 * scale + (1 - scale) + spread
    torch.testing.assert_close(diffuse(clean, prior, TIMES, noise).flatten(), expected)
    torch.testing.assert_close(scale.square() + noise_variance(TIMES), torch.ones(2).double())


def test_time_embedding() -> None:
    embedded = time_embedding(TIMES[:1], 16)[0]
    assert embedded[:3].tolist() == pytest.approx([-0.999756, -0.932231, 0.38995], rel=1e-4)
    assert embedded[8:11].tolist() == pytest.approx([-0.0220966, 0.361864, -0.920836], rel=1e-3)


@pytest.mark.parametrize(
    ("num_steps", "result"),
    [(1, -0.305), (2, 0.646841064), (5, 0.900437247), (10, 0.935068707), (100, 0.963761993)],
)
def test_euler_sampler_on_an_analytic_score(num_steps: int, result: float) -> None:
    start = torch.full((1, 1, 1), 1.7, dtype=torch.float64)

    def score(state: Tensor, prior: Tensor, times: Tensor) -> Tensor:
        return -1.5 * (state - prior) + 0.2 * times[:, None, None]

    prior = torch.full_like(start, 0.7)
    assert sample(score, start, prior, num_steps).item() == pytest.approx(result, rel=1e-8)


CLEAN_MEAN, CLEAN_STD = 1.7, 0.3


def gaussian_score(state: Tensor, prior: Tensor, times: Tensor) -> Tensor:
    """Exact score if the clean values are N(CLEAN_MEAN, CLEAN_STD^2)."""
    scale, variance = signal_scale(times)[:, None, None], noise_variance(times)[:, None, None]
    return -(state - prior - scale * (CLEAN_MEAN - prior)) / (scale**2 * CLEAN_STD**2 + variance)


def gaussian_flow(start: Tensor, prior: Tensor) -> Tensor:
    """State at time 0 to which the flow takes one of time 1: quantiles stay quantiles."""
    one = torch.ones(1, dtype=start.dtype)
    scale, variance = signal_scale(one), noise_variance(one)
    quantile = (start - prior - scale * (CLEAN_MEAN - prior)) / (scale**2 * CLEAN_STD**2 + variance).sqrt()
    return CLEAN_MEAN + CLEAN_STD * quantile


@pytest.mark.parametrize("solver", ["euler", "exponential"])
def test_many_steps_follow_the_exact_flow_of_a_gaussian(solver: str) -> None:
    start = torch.linspace(-2, 3, 7, dtype=torch.float64)[None, None]
    prior = torch.full_like(start, 0.5)
    found = sample(gaussian_score, start, prior, 2_000, solver)
    torch.testing.assert_close(found, gaussian_flow(start, prior), atol=2e-3, rtol=0)


def test_solvers_err_as_an_independent_implementation_does() -> None:
    quantiles = torch.special.ndtri((torch.arange(1_001, dtype=torch.float64) + 0.5) / 1_001)[None, None]
    prior = torch.zeros_like(quantiles)
    errors = {
        solver: [
            (sample(gaussian_score, quantiles, prior, steps, solver) - gaussian_flow(quantiles, prior))
            .square()
            .mean()
            .sqrt()
            .item()
            for steps in (2, 5, 10)
        ]
        for solver in ("euler", "exponential")
    }
    assert errors["euler"] == pytest.approx([1.33, 0.35, 0.12], abs=0.005)
    assert errors["exponential"] == pytest.approx([0.27, 0.19, 0.11], abs=0.005)


def test_exponential_step_is_exact_while_the_noise_stays() -> None:
    generator = torch.Generator().manual_seed(0)
    clean, prior, noise = torch.randn(3, 2, 4, 5, generator=generator, dtype=torch.float64)

    def score(state: Tensor, prior: Tensor, times: Tensor) -> Tensor:
        return -noise / noise_variance(times).sqrt()

    start = diffuse(clean, prior, torch.ones(2, dtype=torch.float64), noise)
    torch.testing.assert_close(sample(score, start, prior, 3, "exponential"), clean)


def test_exponential_solver_bears_a_score_that_is_far_off() -> None:
    start, prior = torch.randn(2, 1, 4, 5, generator=torch.Generator().manual_seed(0))

    def score(state: Tensor, prior: Tensor, times: Tensor) -> Tensor:
        return 3 * state.square() - state

    assert sample(score, start, prior, 2, "exponential").sub(prior).abs().max() <= 10 + 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mish_is_the_same_with_and_without_a_gradient(dtype) -> None:
    values = torch.cat([torch.linspace(-120, 120, 999), torch.tensor([-0.0, 0.0, 19.999, 20.001])]).to(dtype)
    with torch.no_grad():
        found = Mish()(values)
    torch.testing.assert_close(found, values * torch.tanh(F.softplus(values)), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(Mish()(values), F.mish(values), rtol=0, atol=0)


@pytest.mark.parametrize("num_heads", [4, 1])
def test_folded_attention_is_the_unfolded_one(num_heads) -> None:
    torch.manual_seed(0)
    added, maps = AddedAttention(16, num_heads).double(), torch.randn(2, 16, 4, 6, dtype=torch.float64)
    layer = added.fn.fn
    nn.init.constant_(added.fn.g, 0.3)
    queries, keys, values = layer.to_qkv(maps).reshape(2, 3, num_heads, 32, 24).unbind(1)
    context = keys.softmax(dim=-1) @ values.transpose(2, 3)  # (batch, heads, key, value)
    expected = maps + 0.3 * layer.to_out((context.transpose(2, 3) @ queries).reshape(2, 32 * num_heads, 4, 6))
    torch.testing.assert_close(added(maps), expected, rtol=1e-12, atol=1e-12)
    channels_last = added(maps.to(memory_format=torch.channels_last))
    assert channels_last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(channels_last, expected, rtol=1e-12, atol=1e-12)


def test_score_of_odd_lengths_is_that_of_the_padded_input() -> None:
    torch.manual_seed(0)
    net = ScoreNet(8).eval()
    state, prior = torch.randn(2, 2, 8, 10)
    padded = [torch.cat([maps, maps[..., -1:], maps[..., -1:]], dim=-1) for maps in (state, prior)]
    with torch.inference_mode():
        torch.testing.assert_close(
            net(state, prior, torch.full((1,), 0.5)), net(*padded, torch.full((1,), 0.5))[..., :10]
        )


def test_one_time_for_all_is_each_ones_time() -> None:
    torch.manual_seed(0)
    net = ScoreNet(8).eval()
    state, prior = torch.randn(2, 3, 8, 12)
    with torch.inference_mode():
        torch.testing.assert_close(net(state, prior, torch.full((1,), 0.4)), net(state, prior, torch.full((3,), 0.4)))


def test_a_batch_computed_in_pieces_is_each_ones_score() -> None:
    torch.manual_seed(0)
    net, times = ScoreNet(8), torch.rand(CPU_BATCH + 3)
    state, prior = torch.randn(2, len(times), 8, 12)
    whole, priors = net(state, prior.requires_grad_(), times), prior.detach().clone().requires_grad_()
    each = torch.cat([net(state[[n]], priors[[n]], times[[n]]) for n in range(len(times))])
    torch.testing.assert_close(whole, each)
    whole.square().sum().backward()
    each.square().sum().backward()
    torch.testing.assert_close(prior.grad, priors.grad)


def test_gates_start_closed() -> None:
    net = ScoreNet(8)
    gates = {name: value.item() for name, value in net.named_parameters() if name.endswith(".g")}
    assert len(gates) == 6
    assert set(gates.values()) == {0.0}
    assert math.isclose(sum(p.numel() for p in ScoreNet(16).parameters()), 566_263)
