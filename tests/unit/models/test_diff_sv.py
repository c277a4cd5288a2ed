"""Diff-SV against numbers computed with the published code (its architecture, golden weights)."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sv.models.diff_sv import DiffSV, DiffSVConfig, SamplingConfig
from sv.models.diffusion import diffuse, diffusion_loss
from sv.models.folding import for_inference
from sv.models.keyed_noise import noises_of

RTOL = 1e-4
SCORE_RTOL = 1e-3  # the score network embeds times with float32 frequencies
TIMES = torch.tensor([0.3, 0.7], dtype=torch.float64)
LIGHT = {
    "num_mel_bins": 16,
    "channels": (8, 8, 8, 8),
    "blocks": (1, 1, 1, 1),
    "embedding_dim": 6,
    "enhancer_layers": 1,
    "enhancer_channels": 12,
    "score_channels": 8,
}


@pytest.fixture(scope="module")
def model(golden_model) -> DiffSV:
    return golden_model("diff_sv")


@pytest.fixture(scope="module")
def noisy(hashed) -> Tensor:
    utterance, mel, frame = np.meshgrid(*(np.arange(size) for size in (2, 80, 200)), indexing="ij")
    waves = 2 * np.sin(0.13 * (mel + 1) + 0.9 * utterance) * np.cos(0.05 * (frame + 1))
    features = torch.from_numpy(waves + 0.5 * hashed(999, (2, 80, 200)))
    return features - features.mean(dim=-1, keepdim=True)


@pytest.fixture(scope="module")
def clean(noisy: Tensor, hashed) -> Tensor:
    return 0.8 * noisy + 0.1 * torch.from_numpy(hashed(998, (2, 80, 200)))


@pytest.fixture(scope="module")
def prior(model: DiffSV, noisy: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.enhancer(noisy)


@pytest.fixture(scope="module")
def eps(hashed) -> Tensor:
    return 3**0.5 * torch.from_numpy(hashed(700, (2, 80, 200)))


def light_model(**sampling) -> DiffSV:
    torch.manual_seed(0)
    return DiffSV(DiffSVConfig(**LIGHT, sampling=SamplingConfig(**sampling))).eval()


def test_sizes_are_the_published_ones() -> None:
    model = DiffSV(DiffSVConfig())
    sizes = {
        part: sum(parameter.numel() for name, parameter in model.named_parameters() if name.startswith(part))
        for part in ("enhancer.", "denoiser.model.", "")
    }
    assert sizes == {"enhancer.": 1_103_328, "denoiser.model.": 566_263, "": 3_770_093}
    assert len(model.state_dict()) == 541


def test_state_dict_has_the_published_names() -> None:
    names = set(DiffSV(DiffSVConfig()).state_dict())
    top = {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "attention", "bn_agg", "fc", "bn_code"}
    assert {name.split(".")[0] for name in names} == top | {"enhancer", "denoiser"}
    for name in (
        "enhancer.spectral.3.weight", "enhancer.layer_stack.3.slf_attn.w_qs.bias", "enhancer.layer_stack.0.slf_attn.fc.weight",
        "enhancer.layer_stack.0.slf_attn.layer_norm.weight", "enhancer.layer_stack.0.pos_ffn.w_2.weight",
        "denoiser.model.mlp.2.weight", "denoiser.model.downs.1.0.block2.block.1.weight", "denoiser.model.downs.0.0.mlp.1.weight",
        "denoiser.model.downs.0.0.res_conv.weight", "denoiser.model.downs.2.2.fn.g", "denoiser.model.downs.1.3.conv.weight",
        "denoiser.model.mid_attn.fn.fn.to_qkv.weight", "denoiser.model.ups.1.2.fn.fn.to_out.bias",
        "denoiser.model.ups.0.3.conv.weight", "denoiser.model.final_block.block.0.weight", "denoiser.model.final_conv.bias",
    ):  # fmt: skip
        assert name in names


def test_golden_input(noisy: Tensor) -> None:
    assert [noisy.std().item(), noisy[0, 3, 7].item()] == pytest.approx([1.06771, 1.07174], rel=RTOL)


def test_golden_enhancement(prior: Tensor, clean: Tensor) -> None:
    summary = [prior.mean().item(), prior.std().item(), prior[0, 3, 7].item(), prior[1, 79, 199].item()]
    assert summary == pytest.approx([-0.00548984, 0.981055, -0.844126, 0.153007], rel=RTOL)
    assert F.mse_loss(clean, prior).item() == pytest.approx(1.73975, rel=RTOL)


def test_golden_score(model: DiffSV, clean: Tensor, prior: Tensor) -> None:
    with torch.inference_mode():
        score = model.score(clean, prior, TIMES)
    summary = [score.mean().item(), score.std().item(), score[0, 3, 7].item(), score[1, 79, 199].item()]
    assert summary == pytest.approx([-0.0592345, 0.534853, -0.624136, 0.239431], rel=SCORE_RTOL)


def test_golden_state_and_loss(model: DiffSV, clean: Tensor, prior: Tensor, eps: Tensor) -> None:
    state = diffuse(clean, prior, TIMES, eps)
    assert [state[0, 3, 7].item(), state[1, 79, 199].item()] == pytest.approx([-0.852424, 1.42106], rel=RTOL)
    with torch.inference_mode():
        assert diffusion_loss(model.score, clean, prior, TIMES, eps).item() == pytest.approx(1.24630, rel=SCORE_RTOL)


def test_two_steps_of_the_golden_network(model: DiffSV, prior: Tensor, hashed) -> None:
    noise = 3**0.5 * torch.from_numpy(hashed(701, (2, 80, 200)))
    with torch.inference_mode():
        assert model.denoise(prior, noise, 2).std().item() == pytest.approx(11.83, rel=2e-3)


def test_golden_embedding(model: DiffSV, noisy: Tensor, prior: Tensor, hashed) -> None:
    denoised, found = 0.5 * noisy + 0.3 * torch.from_numpy(hashed(702, (2, 80, 200))), []
    handle = model.layer4.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    with torch.inference_mode():
        embedding = model.extract(noisy, prior, denoised)
    handle.remove()
    assert found[0].shape == (2, 128, 10, 50)
    assert found[0].abs().mean().item() == pytest.approx(0.429129, rel=RTOL)
    assert embedding[0, :4].tolist() == pytest.approx([-0.747543, 1.3235, -0.172279, 0.612766], rel=RTOL)
    assert embedding[1, :2].tolist() == pytest.approx([-0.9431, 1.50837], rel=RTOL)
    assert embedding.norm(dim=1).tolist() == pytest.approx([5.86235, 6.49378], rel=RTOL)


def test_float32_enhancer_agrees_with_float64(golden_model, noisy: Tensor, prior: Tensor) -> None:
    with torch.inference_mode():
        single = golden_model("diff_sv").float().enhancer(noisy.float())
    assert (single.double() - prior).abs().max() < 1e-5


def test_layers_are_initialised_as_pytorch_does() -> None:
    model = DiffSV(DiffSVConfig())
    for layer in (model.layer4[1].conv2, model.fc, model.enhancer.spectral[0]):
        fan_in = layer.weight[0].numel()
        assert layer.weight.abs().max().item() == pytest.approx(fan_in**-0.5, rel=0.02)


@pytest.mark.parametrize(
    "sampling", [{}, {"num_steps": 3, "solver": "exponential"}, {"num_draws": 2}, {"start": "zero"}]
)
def test_an_utterance_has_one_embedding_whatever_its_batch(sampling: dict) -> None:
    model, features = light_model(**sampling), torch.randn(3, 16, 12)
    with torch.inference_mode():
        together, alone = model.embed(features), model.embed(features[1:2])
        shuffled = model.embed(features[[2, 1, 0]])
    torch.testing.assert_close(together[1:2], alone)
    torch.testing.assert_close(together, shuffled[[2, 1, 0]])


def test_embed_draws_its_noise_by_the_features_and_the_seed_not_from_torch() -> None:
    model, features = light_model(), torch.randn(2, 16, 12)
    twice = torch.cat([features[:1], features[:1]])
    with torch.inference_mode():
        torch.manual_seed(1)
        first = model.embed(features)
        torch.manual_seed(2)
        torch.testing.assert_close(model.embed(features), first, rtol=0, atol=0)
        same = model.embed(twice)
        torch.testing.assert_close(same[0], same[1])
        assert not torch.allclose(light_model(seed=1).embed(features), first, rtol=1e-3)


def test_drawn_noise_is_unit_gaussian_and_differs_between_utterances_and_draws() -> None:
    model = light_model(num_draws=2)
    first, second = noises_of(model.config.sampling, torch.randn(2, 16, 4_000))
    for noise in (*first, *second):
        assert noise.mean().item() == pytest.approx(0, abs=0.02)
        assert noise.std().item() == pytest.approx(1, abs=0.02)
    flat = torch.cat([first, second]).flatten(1)
    assert torch.corrcoef(flat).fill_diagonal_(0).abs().max() < 0.02


def test_several_draws_give_the_mean_of_unit_embeddings() -> None:
    model, features = light_model(num_draws=3), torch.randn(2, 16, 12)
    with torch.inference_mode():
        prior = model.enhancer(features)
        each = [
            F.normalize(model.extract(features, prior, model.denoise(prior, noise, 10)))
            for noise in noises_of(model.config.sampling, features)
        ]
        torch.testing.assert_close(model.embed(features), sum(each) / 3)


def test_zero_start_begins_at_the_prior() -> None:
    model, features = light_model(start="zero", num_steps=2), torch.randn(2, 16, 12)
    with torch.inference_mode():
        prior = model.enhancer(features)
        expected = model.extract(features, prior, model.denoise(prior, torch.zeros_like(prior), 2))
        torch.testing.assert_close(model.embed(features), expected, rtol=0, atol=0)


def test_forward_returns_embed_and_the_prior() -> None:
    model, features = light_model(), torch.randn(2, 16, 10)
    with torch.inference_mode():
        embedding, enhanced = model(features)
        torch.testing.assert_close(embedding, model.embed(features), rtol=0, atol=0)
        torch.testing.assert_close(enhanced, model.enhancer(features), rtol=0, atol=0)


@pytest.mark.parametrize("frames", [12, 10])
def test_folded_model_gives_the_same_embedding(frames: int) -> None:
    model, features = light_model(num_steps=2).double(), torch.randn(2, 16, frames, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(for_inference(model).embed(features), model.embed(features), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score_channels": 12}, "score_channels must be a multiple of 8, got 12"),
        ({"enhancer_heads": 3}, "num_mel_bins must be a multiple of enhancer_heads, got 80 and 3"),
        ({"enhancer_layers": 0}, "enhancer_layers, enhancer_heads, enhancer_channels and score_heads must be positive"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"embedding_dim": 0}, "embedding_dim must be positive, got 0"),
    ],
)
def test_config_names_what_is_wrong(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiffSVConfig(**changes)


def test_sampling_config_names_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="num_steps and num_draws must be positive, got 0 and 1"):
        SamplingConfig(num_steps=0)
    with pytest.raises(ValueError, match="num_draws must be 1 with start 'zero', which draws nothing; got 2"):
        SamplingConfig(start="zero", num_draws=2)
