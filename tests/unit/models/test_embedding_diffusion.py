"""Diffusion on embeddings against numbers of the published code and its package's sampler; noise keyed by the embedding."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sv.models.embedding_diffusion import (
    EmbeddingDiffusion,
    EmbeddingDiffusionConfig,
    EmbeddingSamplingConfig,
    signal_shares,
    step_embedding,
)
from sv.models.keyed_noise import content_digest, keyed_noises

DIM = 4


def chirp(count: int, a: float = 0.37, b: float = 0.5, c: float = 0.1) -> Tensor:
    t = np.arange(count)
    return torch.from_numpy(np.sin(a * t**2 + b * t + c))


def golden(gain: float = 1.5, **sampling) -> EmbeddingDiffusion:
    config = EmbeddingDiffusionConfig(embedding_dim=DIM, sampling=EmbeddingSamplingConfig(**sampling))
    model = EmbeddingDiffusion(config).double().eval()
    with torch.no_grad():
        for number, (name, parameter) in enumerate(model.named_parameters()):
            wave = chirp(parameter.numel(), c=0.1 + number).reshape(parameter.shape)
            if parameter.ndim == 2:
                parameter.copy_(gain / math.sqrt(parameter.shape[1]) * wave)
            else:
                parameter.copy_(0.1 * wave + name.endswith("weight"))
    return model


INPUTS = 0.6 * chirp(8).reshape(2, 4) + 0.8 * chirp(8, 0.11, 0.9, 0.2).reshape(2, 4)
NOISE = 1.5 * chirp(8, 0.29, 0.4, 0.6).reshape(2, 4)
CLEAN = chirp(8, 0.19, 0.8, 0.3).reshape(2, 4)


@torch.no_grad()
def sampled(gain: float = 1.5, **sampling) -> list[float]:
    model = golden(gain, **sampling)
    return model.sample(model.scaled(INPUTS), NOISE).flatten().tolist()


@pytest.mark.parametrize(("dim", "size"), [(192, 1_373_760), (256, 2_437_888), (512, 9_725_440)])
def test_published_sizes(dim: int, size: int) -> None:
    model = EmbeddingDiffusion(EmbeddingDiffusionConfig(embedding_dim=dim))
    assert sum(parameter.numel() for parameter in model.parameters()) == size


def test_published_names() -> None:
    block = [
        f"{part}.{kind}"
        for part in ("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3")
        for kind in ("weight", "bias")
    ]
    ends = ["time_embed.0", "time_embed.2", "input_proj", "out.0", "out.2"]
    names = [f"{name}.{kind}" for name in ends for kind in ("weight", "bias")]
    assert set(golden().state_dict()) == {*names, *(f"res_blocks.{n}.{name}" for n in range(3) for name in block)}


def test_published_schedule() -> None:
    found = signal_shares(1000)[[0, 50, 980, 999]].tolist()
    expected = [0.9998999834060669, 0.9908438324928284, 0.001069669728167355, 0.0007334119873121381]
    assert found == pytest.approx(expected, rel=1e-6)


def test_published_network() -> None:
    with torch.no_grad():
        found = golden().estimate(INPUTS, torch.tensor([50, 700]))
    expected = [0.3570250323786728, -0.9004076200654931, -0.42556475281484213, -0.09709985487499852]
    expected += [0.21684038386096838, 0.4201790763192089, 0.16164910076592431, -0.2794341828914717]
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (
            {},
            (0.31876986, -0.89749419, -0.40240657, -0.08152144, -0.86533925, -0.42351815, 0.11649269, -0.17357537),
        ),
        (
            {"noise_step": 300},
            (0.26225436, -0.91557606, -0.23762096, 0.00182663, -0.51778631, -0.61988254, 0.56415486, 0.71104646),
        ),
        (
            {"noise_step": 800, "num_steps": 5},  # its package's DDIM of 5 steps: 800, 600, 400, 200, 0
            (0.44968299, -0.31742238, -0.11087719, 0.5423044, 0.4480662, -0.3140399, -0.08945728, 0.56604926),
        ),
        (
            {"noise_step": 980, "num_steps": 50},
            (0.44777444, -0.339876, -0.09613305, 0.55763111, 0.44726725, -0.33366756, -0.09619238, 0.55721603),
        ),
    ],
)
def test_published_samples(sampling: dict, expected: tuple) -> None:
    assert sampled(**sampling) == pytest.approx(expected, abs=1e-6)


def test_wild_estimates_are_clipped_at_three_roots_of_the_dimension_but_not_in_the_noise() -> None:
    expected = (6.0, 0.24105996, 3.69868909, 1.25878719, 6.0, 1.63548299, 3.80533444, 1.77067448)
    assert sampled(12.0, noise_step=800, num_steps=5) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("noise_step", "num_steps", "steps"),
    [(50, 1, [50]), (0, 1, [0]), (50, 2, [50, 0]), (10, 4, [10, 7, 3, 0]), (3, 4, [3, 2, 1, 0])],
)
def test_steps_of_the_sampler(noise_step: int, num_steps: int, steps: list[int]) -> None:
    assert EmbeddingSamplingConfig(noise_step=noise_step, num_steps=num_steps).steps == steps


def test_the_diffusion_keeps_the_power() -> None:
    """Of an embedding of length sqrt(dim) in noise of unit variance: the signal's share, the noise's, and 1 together."""
    model = EmbeddingDiffusion(EmbeddingDiffusionConfig(embedding_dim=64))
    start = model.scaled(torch.randn(600, 64, generator=torch.Generator().manual_seed(0)))
    noise = torch.randn(600, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(start.square().mean(dim=1), torch.ones(600))
    for step in (0, 50, 400, 999):
        steps = torch.full((600,), step)
        torch.testing.assert_close(model.diffuse(start, steps, None).square().mean(dim=1), model.shares[steps])
        assert model.diffuse(start, steps, noise).square().mean().item() == pytest.approx(1, abs=0.02)


def test_embedded_steps_of_an_odd_width_end_in_zero() -> None:
    found = step_embedding(torch.tensor([0, 2]), 5)
    angle = 2 * 10_000**-0.5
    expected = [[1, 1, 0, 0, 0], [math.cos(2), math.cos(angle), math.sin(2), math.sin(angle), 0]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_a_new_network_estimates_zero_and_its_inner_layers_learn_next() -> None:
    torch.manual_seed(0)
    model = EmbeddingDiffusion(EmbeddingDiffusionConfig(embedding_dim=DIM))
    estimate = model.estimate(INPUTS.float(), torch.tensor([1, 2]))
    assert estimate.count_nonzero() == 0
    F.l1_loss(estimate, CLEAN.float()).backward()
    moved = {name for name, parameter in model.named_parameters() if parameter.grad.count_nonzero()}
    assert moved == {"out.2.weight", "out.2.bias"}


@pytest.mark.parametrize("sampling", [{}, {"num_steps": 3}, {"num_draws": 2}, {"start": "zero"}])
def test_an_embedding_is_a_function_of_its_row(sampling: dict) -> None:
    model, rows = golden(**sampling), chirp(20, 0.23, 0.7, 0.4).reshape(5, 4)
    with torch.no_grad():
        together, again, other = model.embed(rows), model.embed(rows), model.embed(rows[[3, 1]])
        torch.testing.assert_close(again, together, rtol=0, atol=0)
        torch.testing.assert_close(other, together[[3, 1]])
        torch.testing.assert_close(model.train().embed(rows), together)


def test_seeds_and_draws_give_other_noise_and_zero_gives_none() -> None:
    one, other, none = golden(), golden(seed=1), golden(start="zero")
    with torch.no_grad():
        first, second = one.embed(INPUTS), other.embed(INPUTS)
        assert (first != second).all()
        torch.testing.assert_close(none.embed(INPUTS), none.sample(none.scaled(INPUTS), None))
        noises = list(keyed_noises(INPUTS, 3, seed=0))
        mean = torch.stack([one.sample(one.scaled(INPUTS), noise) for noise in noises]).mean(dim=0)
        torch.testing.assert_close(golden(num_draws=3).embed(INPUTS), mean)
        torch.testing.assert_close(first, one.sample(one.scaled(INPUTS), noises[0]))


def test_noise_is_unit_gaussian_and_keyed_by_values_in_single_precision() -> None:
    rows = torch.randn(40, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (noise,) = keyed_noises(rows, 1, seed=7)
    assert noise.dtype == torch.float64
    assert [noise.mean().item(), noise.std().item()] == pytest.approx([0, 1], abs=0.05)
    assert noise.flatten().unique().numel() == 4000
    assert content_digest(rows[0]) == content_digest(rows[0].float()) != content_digest(rows[1])


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (EmbeddingSamplingConfig, {"num_steps": 0}, "num_steps must be at least 1, got 0"),
        (EmbeddingSamplingConfig, {"noise_step": -1}, "noise_step must not be negative, got -1"),
        (
            EmbeddingSamplingConfig,
            {"noise_step": 3, "num_steps": 5},
            "num_steps must be at most noise_step [+] 1.* 5 and 3",
        ),
        (EmbeddingSamplingConfig, {"start": "zero", "num_draws": 2}, "num_draws must be 1 with start 'zero'"),
        (EmbeddingDiffusionConfig, {"num_blocks": 0}, "num_blocks must be at least 1, got 0"),
        (EmbeddingDiffusionConfig, {"diffusion_steps": 50}, "noise_step must be below diffusion_steps, got 50 and 50"),
    ],
)
def test_settings_out_of_range_are_named(make: type, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**arguments)
