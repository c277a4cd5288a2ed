"""ExU-Net, U-Net and baseline against numbers computed with the published code (its architecture, golden weights)."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sv.losses import AngularPrototypical, SoftmaxLoss
from sv.models import MODELS
from sv.models.blocks import pad_frames
from sv.models.exu_net import ExUNet, ExUNetConfig, UNet, UNetConfig
from sv.models.resnet import SEResNet, SEResNetConfig

RTOL = 1e-4
SIZES = {  # parameters, buffers, entries of the state dict
    "se_resnet": (1_392_326, 5_095, 301),
    "unet": (2_868_908, 8_903, 562),
    "exu_net": (4_809_266, 16_779, 842),
}
EMBEDDINGS = {  # [0, :4], [1, :2], norms; 256 frames
    "se_resnet": ([0.123921, -0.130793, -0.772659, 0.0395247], [0.156386, -0.110201], [7.65106, 7.8237]),
    "unet": ([-0.122274, -0.822456, 0.902411, 0.221408], [-0.145778, -0.823885], [8.31984, 8.20797]),
    "exu_net": ([-0.610844, 1.24258, 0.97418, 0.495796], [-0.682255, 1.28336], [7.10941, 6.93476]),
}
ENHANCED = {"unet": (-0.218983, 3.03692, 2.2147), "exu_net": (-2.48602, 2.96997, -3.30867)}  # mean, std, [0, 10, 20]
EXU_NET_STAGES = {  # mean absolute output
    "bn1": 0.849865,
    "d_res_1": 0.667637,
    "d_res_2": 0.530646,
    "d_res_3": 0.490234,
    "d_res_4": 0.363621,
    "u_res_0": 0.488889,
    "u_res_1": 0.455166,
    "u_res_2": 0.341416,
    "u_res_3": 0.313382,
    "uconv_0": 0.586583,
    "uconv_1": 0.527712,
    "uconv_2": 0.529254,
    "uconv_3": 0.652103,
    "uconv_4": 2.92296,
    "d2_res_1": 0.92166,
    "d2_res_2": 0.712398,
    "d2_res_3": 0.487319,
    "d2_res_4": 0.537468,
}
LEVEL_NAMES = {
    "se_resnet": {"layer1", "layer2", "layer3", "layer4"},
    "unet": {"d_res_1", "d_res_2", "d_res_3", "d_res_4", "u_res_0", "u_res_1", "u_res_2", "u_res_3"},
}
UCONVS = {f"uconv_{number}" for number in range(5)}
HEAD = {"conv1", "bn1", "attention", "bn_agg", "fc", "bn_code"}
TOP_NAMES = {
    "se_resnet": HEAD | LEVEL_NAMES["se_resnet"],
    "unet": HEAD | LEVEL_NAMES["unet"] | UCONVS,
    "exu_net": HEAD | LEVEL_NAMES["unet"] | UCONVS | {"conv2", "bn2"} | {f"d2_res_{number}" for number in range(1, 5)},
}

TRUNKS = ("se_resnet", "unet", "exu_net")


@pytest.mark.parametrize("name", TRUNKS)
def test_sizes_are_the_published_ones(name: str) -> None:
    config, model_class = MODELS[name]
    model = model_class(config())
    sizes = (
        sum(parameter.numel() for parameter in model.parameters()),
        sum(buffer.numel() for buffer in model.buffers()),
        len(model.state_dict()),
    )
    assert sizes == SIZES[name]


@pytest.mark.parametrize("name", TRUNKS)
def test_state_dict_has_the_published_names(name: str) -> None:
    config, model_class = MODELS[name]
    names = set(model_class(config()).state_dict())
    assert {entry.split(".")[0] for entry in names} == TOP_NAMES[name]
    second_level = "layer2" if name == "se_resnet" else "d_res_2"
    within_block = {
        entry.removeprefix(f"{second_level}.0.") for entry in names if entry.startswith(f"{second_level}.0.")
    }
    norm = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    assert within_block == (
        {"conv1.weight", "conv2.weight", "downsample.0.weight"}
        | {f"{layer}.{entry}" for layer in ("bn1", "bn2", "downsample.1") for entry in norm}
        | {f"se.fc.{layer}.{entry}" for layer in (0, 2) for entry in ("weight", "bias")}
    )
    attention = {entry.split(".")[1] for entry in names if entry.startswith("attention.")}
    assert attention == {"0", "2", "3"}


def test_first_extractor_block_of_equal_widths_has_an_identity_shortcut() -> None:
    model = ExUNet(ExUNetConfig())
    has_convolution = [
        [stack[0].downsample is not None for stack in stacks]
        for stacks in (
            (model.d_res_1, model.d_res_2, model.d_res_3, model.d_res_4),
            (model.d2_res_1, model.d2_res_2, model.d2_res_3, model.d2_res_4),
            (model.u_res_0, model.u_res_1, model.u_res_2, model.u_res_3),
        )
    ]
    assert has_convolution == [[False, True, True, True], [True, True, True, False], [False] * 4]


@pytest.mark.parametrize("name", TRUNKS)
def test_golden_embeddings(name: str, golden_model, golden_features) -> None:
    with torch.inference_mode():
        embedding, enhanced = golden_model(name)(golden_features(256))
    first, second, norms = EMBEDDINGS[name]
    assert embedding[0, :4].tolist() == pytest.approx(first, rel=RTOL)
    assert embedding[1, :2].tolist() == pytest.approx(second, rel=RTOL)
    assert embedding.norm(dim=1).tolist() == pytest.approx(norms, rel=RTOL)
    if name in ENHANCED:
        assert enhanced.shape == (2, 64, 256)
        summary = [enhanced.mean().item(), enhanced.std().item(), enhanced[0, 10, 20].item()]
        assert summary == pytest.approx(ENHANCED[name], rel=RTOL)
    else:
        assert enhanced is None


def test_golden_features(golden_features) -> None:
    features = golden_features(256)
    assert [features.mean().item(), features[1, 5, 7].item()] == pytest.approx([-5.99917, -3.30897], rel=RTOL)


def test_golden_embedding_of_test_length(golden_model, golden_features) -> None:
    with torch.inference_mode():
        embedding = golden_model("exu_net").embed(golden_features(384))
    assert embedding[0, :4].tolist() == pytest.approx([-0.629895, 1.27595, 0.959288, 0.50833], rel=RTOL)


def test_golden_mean_of_each_stage(golden_model, golden_features) -> None:
    model, means = golden_model("exu_net"), {}
    for name in EXU_NET_STAGES:
        getattr(model, name).register_forward_hook(
            lambda _module, _inputs, output, name=name: means.update({name: output.abs().mean().item()})
        )
    with torch.inference_mode():
        model(golden_features(256))
    assert means == pytest.approx(EXU_NET_STAGES, rel=RTOL)


def test_golden_losses_of_a_training_batch(golden_model, golden_features, hashed) -> None:
    model = golden_model("exu_net").train()
    features, speaker_ids = golden_features(64, batch=4), torch.tensor([3, 7, 3, 7])
    classification, prototypical = SoftmaxLoss(128, 10).double(), AngularPrototypical().double()
    with torch.no_grad():
        classification.classifier.weight.copy_(torch.from_numpy(0.1 * hashed(500, (10, 128))))
        classification.classifier.bias.copy_(torch.from_numpy(0.1 * hashed(501, (10,))))
    embedding, enhanced = model(features)
    losses = [
        classification(embedding, speaker_ids),
        prototypical(embedding[2:], embedding[:2]),
        F.mse_loss(enhanced, features[:2].repeat(2, 1, 1)),
    ]
    assert [loss.item() for loss in losses] == pytest.approx([2.34851, 0.427414, 21.1662], rel=RTOL)
    sum(losses).backward()
    for part in (model, classification, prototypical):
        assert [name for name, parameter in part.named_parameters() if parameter.grad is None] == []


def test_float32_agrees_with_float64(golden_model, golden_features) -> None:
    model, features = golden_model("exu_net"), golden_features(64)
    with torch.inference_mode():
        exact, single = model.embed(features), model.float().embed(features.float())
    assert (single.double() - exact).abs().max() < 1e-5


@pytest.mark.parametrize("name", TRUNKS)
def test_embed_is_the_embedding_of_forward(name: str, golden_model, golden_features) -> None:
    model, features = golden_model(name), golden_features(62)
    with torch.inference_mode():
        torch.testing.assert_close(model.embed(features), model(features).embedding, rtol=0, atol=0)


def test_unet_embeds_without_its_decoder(golden_model, golden_features) -> None:
    model, calls = golden_model("unet"), []
    model.uconv_0.register_forward_hook(lambda *_: calls.append("decoder"))
    with torch.inference_mode():
        model.embed(golden_features(32))
        assert calls == []
        model(golden_features(32))
    assert calls == ["decoder"]


@pytest.mark.parametrize("name", ["unet", "exu_net"])
@pytest.mark.parametrize("frames", [61, 62, 63])
def test_odd_lengths_equal_an_input_whose_normalised_last_frame_is_repeated(
    name: str, frames: int, golden_model, golden_features, monkeypatch
) -> None:
    model, features = golden_model(name), golden_features(frames)
    padded = F.pad(F.instance_norm(features), (0, 64 - frames), mode="replicate")
    with torch.inference_mode():
        embedding, enhanced = model(features)
        monkeypatch.setattr("sv.models.exu_net.normalised_map", lambda maps: maps[:, None])
        expected, enhanced_padded = model(padded)
    torch.testing.assert_close(embedding, expected)
    torch.testing.assert_close(enhanced, enhanced_padded[..., :frames])


def test_pad_frames_repeats_the_last_frame() -> None:
    maps = torch.arange(6.0).reshape(1, 1, 1, 6)
    assert pad_frames(maps).flatten().tolist() == [0, 1, 2, 3, 4, 5, 5, 5]
    assert pad_frames(maps[..., :4]).flatten().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (ExUNetConfig(num_mel_bins=32), 4_478_834),
        (ExUNetConfig(channels=(8, 16, 32, 64)), 1_273_737),
        (ExUNetConfig(channels=(8, 16, 32, 64), num_mel_bins=32), 1_157_673),
        (ExUNetConfig(embedding_dim=256), 5_071_794),
    ],
)
def test_light_versions_have_the_expected_size(config: ExUNetConfig, parameters: int) -> None:
    model = ExUNet(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    features = torch.zeros(2, config.num_mel_bins, 8)
    embedding, enhanced = model.eval()(features)
    assert embedding.shape == (2, config.embedding_dim)
    assert enhanced.shape == features.shape


def test_initial_weights_have_the_published_spread() -> None:
    torch.manual_seed(0)
    model = UNet(UNetConfig())
    conv = model.d_res_4[1].conv2.weight  # fan-in 1152, gain of a leaky ReLU of slope 0.01
    assert conv.std().item() == pytest.approx((2 / (1 + 1e-4) / 1152) ** 0.5, rel=0.01)
    limit = (6 / (256 + 128)) ** 0.5
    assert model.fc.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
    torch.testing.assert_close(model.fc.bias, torch.full((128,), 1e-4))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": (16, 32)}, r"channels must be 4 positive numbers, one per level, got \(16, 32\)"),
        ({"blocks": (3, 4, 0, 3)}, r"blocks must be 4 positive numbers, one per level, got \(3, 4, 0, 3\)"),
        ({"num_mel_bins": 60}, "num_mel_bins must be a multiple of 8, got 60"),
        ({"embedding_dim": 0}, "embedding_dim must be positive, got 0"),
    ],
)
def test_config_names_what_is_wrong(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SEResNetConfig(**changes)


def test_baseline_accepts_any_number_of_frames(golden_model, golden_features) -> None:
    model = golden_model("se_resnet")
    assert isinstance(model, SEResNet)
    with torch.inference_mode():
        assert torch.isfinite(model.embed(golden_features(61))).all()
