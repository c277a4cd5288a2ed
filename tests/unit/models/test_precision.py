from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sv.models import MODELS, precision
from sv.models.folding import for_inference
from sv.models.pooling import mean_and_deviation, weighted_statistics
from sv.models.precision import RoundedProducts, autocast, choose_precision, narrowed

LEVELS = {"channels": (4, 4, 8, 8), "blocks": (1, 1, 2, 1)}
SMALL = {
    **dict.fromkeys(("se_resnet", "unet", "exu_net", "na_exu_net"), LEVELS),
    "diff_sv": {**LEVELS, "enhancer_channels": 8, "score_channels": 8},
    "ecapa_tdnn": {"channels": 16, "aggregated_channels": 24},
    "campplus": {"head_channels": 8, "init_channels": 16, "growth": 8, "bottleneck": 16, "blocks": (2, 2, 2)},
    "rawnet2": {"ln_affine": "none"},
    "noise_lora": {"channels": 16, "aggregated_channels": 24, "noise_channels": (4, 4, 8, 8), "noise_dim": 8},
    "redimnet2": {"channels": 4, "out_channels": 6, "group": 2},
}
LEAST_COSINE = 0.98  # of random weights, which amplify rounding; trained ones keep 0.999


def built(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    config, model = MODELS[name]
    model = model(config(**SMALL.get(name, {}))).eval()
    if name == "embedding_diffusion":
        for layer in (model.out[-1], *(block.out_layers[-1] for block in model.res_blocks)):
            layer.reset_parameters()  # at first it estimates zero
    mels = model.config.num_mel_bins
    if mels is None and "embedding" in name:
        return model, torch.randn(3, model.config.embedding_dim)
    return model, torch.randn(3, mels, 100) if mels else 0.1 * torch.randn(3, 1, 20_000)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_embeds_in_bf16_about_as_in_float32(name: str) -> None:
    model, features = built(name)
    exact, narrow = for_inference(model), narrowed(for_inference(model))
    with torch.inference_mode():
        expected = exact.embed(features)
        with autocast("cpu", "bf16"):
            found = narrow.embed(features).float()
        assert torch.equal(exact.embed(features), expected)  # the copy was narrowed, not the network
    assert found.shape == expected.shape
    assert torch.cosine_similarity(found, expected).min() > LEAST_COSINE


@pytest.mark.parametrize("name", MODELS)
def test_every_network_trains_in_bf16_with_float32_gradients(name: str) -> None:
    model, features = built(name)
    model.train()
    with autocast("cpu", "bf16"):
        embeddings = model.embed(features)
    embeddings.float().square().mean().backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert gradients and all(each.dtype == torch.float32 and each.isfinite().all() for each in gradients)


PRODUCTS = {
    "conv1d": (lambda maps, weight: F.conv1d(maps, weight, padding=1), (2, 5, 9), (4, 5, 3)),
    "conv2d": (lambda maps, weight: F.conv2d(input=maps, weight=weight, stride=2), (2, 5, 9, 8), (4, 5, 3, 3)),
    "transposed": (lambda maps, weight: F.conv_transpose2d(maps, weight), (2, 5, 6, 7), (5, 4, 2, 2)),
    "linear": (lambda maps, weight: F.linear(maps, weight, weight.sum(1)), (2, 3, 5), (4, 5)),
    "product": (lambda maps, weight: maps @ weight, (2, 3, 5), (5, 4)),
}


@pytest.mark.parametrize(("product", "of_maps", "of_weight"), PRODUCTS.values(), ids=PRODUCTS)
@pytest.mark.parametrize("exact", [True, False])
def test_rounded_products_are_those_of_autocast(
    product: Callable, of_maps: tuple, of_weight: tuple, exact: bool
) -> None:
    generator = torch.Generator().manual_seed(0)

    def numbers(shape: tuple) -> Tensor:  # whose sums are exact in any order, or not
        if exact:
            return torch.randint(-3, 4, shape, generator=generator).float()
        return torch.randn(shape, generator=generator)

    maps, weight = numbers(of_maps), numbers(of_weight)
    target = numbers(product(maps, weight).shape)

    def found() -> list[Tensor]:
        leaves = [each.clone().requires_grad_() for each in (maps, weight)]
        with torch.autocast("cpu", torch.bfloat16):
            output = product(*leaves)
        assert output.dtype == torch.bfloat16
        return [output, *torch.autograd.grad(output, leaves, target.bfloat16())]

    expected = found()
    with RoundedProducts():
        rounded = found()
    for ours, theirs in zip(rounded, expected):
        assert ours.dtype == theirs.dtype
        scale = float(theirs.detach().abs().max())
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0 if exact else 2**-7 * scale)


@pytest.mark.parametrize(("has", "expected"), [({}, True), ({"avx512_bf16": True}, False), ({"amx_bf16": True}, False)])
def test_products_are_rounded_where_the_processor_cannot_narrow(monkeypatch, has, expected) -> None:
    monkeypatch.setattr(precision.torch.cpu, "get_capabilities", lambda: has, raising=False)
    seen = []
    monkeypatch.setattr(precision, "_rounded", lambda value: seen.append(value) or value)
    maps = torch.ones(2, 3)
    with autocast("cpu", "bf16"):
        assert (maps @ maps.T).dtype == torch.bfloat16
        with torch.autocast("cpu", enabled=False):  # as losses are computed
            assert (maps @ maps.T).dtype == torch.float32
        assert (maps + maps).dtype == torch.float32  # sums are not narrowed
    assert bool(seen) == expected
    seen.clear()
    with autocast("cpu", "float32"):
        assert (maps @ maps.T).dtype == torch.float32
    assert not seen


def test_statistics_of_bf16_values_are_those_of_float32() -> None:
    # In bfloat16, with 8 digits, 100 + noise of deviation 1 would have the mean square 10048 or so and no variance.
    values = (100 + torch.randn(2, 3, 400)).bfloat16()
    weights = torch.full((2, 1, 400), 1 / 400)
    expected = values.double()
    found = weighted_statistics(values, weights)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[:, :3].double(), expected.mean(dim=-1), rtol=1e-5, atol=0)
    torch.testing.assert_close(found[:, 3:].double(), expected.std(dim=-1, correction=0), rtol=2e-2, atol=0)
    found = mean_and_deviation(values)
    torch.testing.assert_close(found[:, 3:].double(), expected.std(dim=-1), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("asked", "has", "chosen", "why"),
    [
        ("float32", {"amx_bf16": True}, "float32", ""),
        ("auto", {"amx_bf16": True, "avx512_bf16": True}, "bf16", "bf16, this processor has AMX"),
        ("auto", {"avx512_bf16": True}, "bf16", "bf16, this processor has AVX-512 BF16"),
        ("auto", {"avx2": True, "amx_bf16": False}, "float32", "float32, this processor has no instructions for bf16"),
        ("bf16", {"avx512_bf16": True}, "bf16", ""),
        ("bf16", {}, "bf16", "no instructions for it, float32 is faster here"),
    ],
)
def test_auto_asks_the_processor(monkeypatch, asked, has, chosen, why) -> None:
    monkeypatch.setattr(precision.torch.cpu, "get_capabilities", lambda: has, raising=False)
    found, line = choose_precision(asked)
    assert found == chosen
    assert why in line and (why or not line) and "\n" not in line


@pytest.mark.parametrize("has_amx", [True, False])
def test_an_older_torch_is_asked_by_its_own_functions(monkeypatch, has_amx) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert choose_precision("auto")[1].endswith("has AMX" if has_amx else "has AVX-512 BF16")


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "float32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_asks_the_gpu(monkeypatch, capability, chosen) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert choose_precision("auto", "cuda:0")[0] == chosen


def test_other_precisions_are_refused() -> None:
    with pytest.raises(ValueError, match="precision must be float32, bf16 or auto, got 'bfloat16'"):
        choose_precision("bfloat16")
