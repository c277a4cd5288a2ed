"""NoiseLoRA-SV: adapters, gates and scales by hand; its embedding by the published code is in tests/unit/published."""

import pytest
import torch

from sv.models.ecapa_tdnn import ECAPATDNN, Context
from sv.models.noise_lora import NoiseAdapter, NoiseLoRA, NoiseLoRAConfig
from sv.models.noise_network import Fusion, NoiseCues, NoiseNetwork, Unit, stretch_mels

SMALL = {
    "num_mel_bins": 16,
    "channels": 8,
    "res2net_scale": 4,
    "squeezed_channels": 4,
    "attention_channels": 4,
    "aggregated_channels": 12,
    "embedding_dim": 5,
    "noise_channels": (2, 3, 4, 5),
    "rnn_channels": 2,
    "rnn_hidden": 3,
    "noise_dim": 4,
    "hyper_hidden": 6,
    "gate_hidden": 3,
}


def network(**settings) -> NoiseLoRA:
    torch.manual_seed(0)
    return NoiseLoRA(NoiseLoRAConfig(**{**SMALL, **settings}))


def adapter(**settings) -> NoiseAdapter:
    """An adapter whose matrices are what its layers' biases say, whatever the noise."""
    made = NoiseAdapter(NoiseLoRAConfig(**{**SMALL, "channels": 4, "rank": 1, "alpha": 3.0, **settings}), gated=True)
    for layer in (made.down, made.up):
        torch.nn.init.zeros_(layer.weight)
    return made


def cues(frames: int = 3) -> NoiseCues:
    return NoiseCues(torch.randn(1, 4), torch.randn(1, 4, 2, frames))


def test_a_change_is_the_scaled_product_of_two_matrices_and_a_gate() -> None:
    made, seen = adapter(), cues()
    with torch.no_grad():
        made.down.bias[0] = 2.0  # A reads twice the first channel, B writes it to the last
        made.up.bias[3] = 5.0
        maps = torch.zeros(1, 4, 3)
        maps[0, 0] = torch.tensor([0.0, 1.0, -1.0])
        changed = made(maps, seen)
        gate = torch.sigmoid(made.gate(seen.local).mean(dim=2))[0, 0]
    silu = torch.tensor([0.0, 2 / (1 + torch.e**-2), -2 / (1 + torch.e**2)])
    torch.testing.assert_close(changed[0, 3], 3.0 * 5.0 * silu * gate)  # alpha / rank
    assert torch.equal(changed[0, :3], maps[0, :3])


def test_each_utterance_has_the_change_of_its_own_noise() -> None:
    made = NoiseAdapter(NoiseLoRAConfig(**SMALL, init_scale=1.0), gated=False)
    maps, whole = torch.randn(1, 8, 5).repeat(2, 1, 1), torch.randn(2, 4)
    local = torch.randn(2, 4, 2, 5)
    with torch.no_grad():
        both = made(maps, NoiseCues(whole, local))
        alone = made(maps[:1], NoiseCues(whole[1:], local[1:]))
    torch.testing.assert_close(both[1:], alone)
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_from_the_second_block_on_each_frame_has_a_gate() -> None:
    model = network(init_scale=0.5)
    assert [each.gate is not None for each in model.adapters] == [False, False, True, True]


def test_without_a_change_it_is_the_ecapa_tdnn_of_its_own_names() -> None:
    model, features = network(init_scale=0.0).eval(), torch.randn(2, 16, 30)
    plain = ECAPATDNN(model.config.encoder).eval()
    plain.load_state_dict({name: model.state_dict()[name] for name in plain.state_dict()})
    with torch.no_grad():
        torch.testing.assert_close(model.embed(features), plain.embed(features))


@pytest.mark.parametrize("frames", [30, 33])
def test_the_noise_is_estimated_in_the_shape_of_the_features(frames: int) -> None:
    model, features = network().eval(), torch.randn(2, 16, frames)
    with torch.no_grad():
        embedding, noise = model.embed_and_estimate(features)
        assert noise.shape == features.shape and noise.abs().max() > 0
        assert torch.equal(model.embed(features), embedding)
        offset = torch.arange(16.0)[:, None]
        again = model.embed_and_estimate(features + offset)  # features are centred
    torch.testing.assert_close(again[0], embedding, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(again[1], noise, rtol=1e-4, atol=1e-4)


def test_levels_halve_the_mels_and_keep_the_frames() -> None:
    noise = NoiseNetwork(32, (2, 3, 4, 5), 2, 3, 6)
    maps = noise.encode(torch.randn(1, 32, 11))
    assert [tuple(each.shape[1:]) for each in maps] == [(2, 16, 11), (3, 8, 11), (4, 4, 11), (5, 2, 11)]
    found = noise.head(maps)
    assert found.whole.shape == (1, 6) and found.local.shape == (1, 6, 8, 11)


def test_scales_are_summed_under_their_gates() -> None:
    fusion = Fusion(2, 3).eval()
    with torch.no_grad():
        for layer in (fusion.gate[0], fusion.gate[3]):
            layer.weight.zero_()
        fusion.gate[4].bias.copy_(torch.tensor([0.0, torch.inf, -torch.inf]))  # gates of 1/2, 1 and 0
        fused = fusion([torch.full((1, 2, 4, 3), value) for value in (10.0, 1.0, 100.0)])
    torch.testing.assert_close(fused, torch.full((1, 2, 4, 3), 6.0))


def test_mels_are_interpolated_and_frames_are_not() -> None:
    maps = torch.tensor([[0.0, 10.0], [4.0, 20.0]])[None, None]  # two mels, two frames
    expected = torch.tensor([[0.0, 10.0], [1.0, 12.5], [3.0, 17.5], [4.0, 20.0]])
    torch.testing.assert_close(stretch_mels(maps, 2)[0, 0], expected)


def test_a_unit_has_a_slope_for_each_channel() -> None:
    unit = Unit(1, 2).eval()
    with torch.no_grad():
        unit.conv.weight.zero_()
        unit.conv.weight[:, 0, 1, 1] = -1.0
        unit.slope.copy_(torch.tensor([0.0, 0.5]))
        found = unit(torch.ones(1, 1, 2, 2))
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([0.0, -0.5]), rtol=1e-4, atol=0)


@pytest.mark.parametrize(("clamped", "deviation"), [(True, 0.1), (False, (0.005 + 0.01) ** 0.5)])
def test_a_floor_is_the_least_variance_or_is_added(clamped: bool, deviation: float) -> None:
    values = torch.tensor([[[0.0, 0.1]]])  # variance 0.005
    mean, found = Context(False, 0.01, clamped)(values)[0].tolist()
    assert (mean, found) == (pytest.approx(0.05), pytest.approx(deviation))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_mel_bins": 40}, "num_mel_bins must be a multiple of 16, the noise network's stride, got 40"),
        ({"noise_channels": (4, 8)}, r"noise_channels must be 4 positive numbers, got \(4, 8\)"),
        ({"noise_channels": (4, 8, 0, 8)}, "noise_channels must be 4 positive numbers"),
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"alpha": 0.0}, "alpha must be positive, got 0.0"),
        ({"init_scale": -1.0}, "init_scale must not be negative, got -1.0"),
        ({"channels": 100}, "channels must be a multiple of res2net_scale"),
    ],
)
def test_sizes_that_do_not_fit_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NoiseLoRAConfig(**arguments)


def test_the_published_sizes() -> None:
    with torch.device("meta"):
        model = NoiseLoRA(NoiseLoRAConfig())
    parts = {"adapters": model.adapters, "noise": model.noise, "decoder": model.noise.decoder, "all": model}
    sizes = {name: sum(each.numel() for each in part.parameters()) for name, part in parts.items()}
    assert sizes == {"adapters": 8_964_354, "noise": 3_668_583, "decoder": 1_204_353, "all": 28_077_481}
