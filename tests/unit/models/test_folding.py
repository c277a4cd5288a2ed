import pytest
import torch

from sv.models import MODELS
from sv.models.embedding_diffusion import EmbeddingSamplingConfig
from sv.models.folding import Foldable, fold_parts, for_inference, fuse_sequence
from sv.models.redimnet2 import StageConfig

MELS = {"se_resnet": 64, "unet": 64, "exu_net": 64, "resnet_se34l": 40, "resnet_se34v2": 64, "vggvox": 40}


@pytest.mark.parametrize("name", MELS)
@pytest.mark.parametrize("frames", [64, 61])
def test_folded_model_gives_the_same_embedding_and_leaves_the_original_alone(
    name: str, frames: int, golden_model, golden_features
) -> None:
    model, features = golden_model(name), golden_features(2 * frames)[:, : MELS[name]]
    before = {entry: value.clone() for entry, value in model.state_dict().items()}
    with torch.inference_mode():
        exact, folded = model(features), for_inference(model)(features)
    torch.testing.assert_close(folded.embedding, exact.embedding, rtol=1e-10, atol=1e-10)
    if exact.enhanced is not None:
        torch.testing.assert_close(folded.enhanced, exact.enhanced, rtol=1e-10, atol=1e-10)
    assert all(torch.equal(value, before[entry]) for entry, value in model.state_dict().items())


@pytest.mark.parametrize("name", MELS)
def test_folded_model_embeds_alike_in_single_precision(name: str, golden_model, golden_features) -> None:
    model, features = golden_model(name).float(), golden_features(96)[:, : MELS[name]].float()
    with torch.inference_mode():
        cosines = torch.cosine_similarity(for_inference(model).embed(features).double(), model.embed(features).double())
    assert (cosines > 1 - 1e-6).all()


@pytest.mark.parametrize("name", MELS)
def test_no_normalisation_of_maps_remains(name: str, golden_model) -> None:
    model = for_inference(golden_model(name))
    remaining = [name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert remaining == []
    assert not any(parameter.requires_grad for parameter in model.parameters())


FEW_LEVELS = {"channels": (4, 4, 8, 8), "blocks": (1, 1, 2, 1), "num_mel_bins": 16}
REDIM = {"num_mel_bins": 16, "channels": 4, "out_channels": 6, "group": 2}
STAGES = (StageConfig(blocks=1, expansion=2.0), StageConfig(mel_stride=2, frame_stride=2, blocks=2, reduction=8))
SETTINGS = [
    ("se_resnet", FEW_LEVELS),
    ("unet", FEW_LEVELS),
    ("exu_net", FEW_LEVELS),
    ("resnet_se34l", FEW_LEVELS),
    ("resnet_se34v2", FEW_LEVELS),
    ("vggvox", {}),
    ("vggvox", {"pooling": "max"}),
    ("diff_sv", {**FEW_LEVELS, "enhancer_channels": 8, "score_channels": 8}),
    ("ecapa_tdnn", {"num_mel_bins": 16, "channels": 16, "aggregated_channels": 24}),
    ("ecapa_tdnn", {"num_mel_bins": 16, "channels": 16, "global_context": False, "summed_inputs": True}),
    (
        "ecapa_tdnn",
        {"num_mel_bins": 16, "channels": 10, "res2net_scale": 2, "dilations": (1,), "embedding_norm": False},
    ),
    (
        "ecapa_tdnn",
        {
            "num_mel_bins": 16,
            "channels": 16,
            "padding": "reflect",
            "aggregated_norm": True,
            "attention_norm": True,
            "population_deviation": True,
        },
    ),
    ("na_exu_net", FEW_LEVELS),
    ("noise_lora", {"num_mel_bins": 16, "channels": 16, "aggregated_channels": 24, "noise_channels": (4, 4, 8, 8)}),
    (
        "enhanced",
        {
            "channels": (4, 4, 8, 8),
            "blocks": (1, 1, 2, 1),
            "extractor": {"type": "se_resnet", "num_mel_bins": 16, "channels": [4, 4, 8, 8], "blocks": [1, 1, 1, 1]},
        },
    ),
    (
        "transformed",
        {"extractor": {"type": "se_resnet", "num_mel_bins": 16, "channels": [4, 4, 8, 8], "blocks": [1, 1, 1, 1]}},
    ),
    ("plain_resnet", {"num_mel_bins": 16, "channels": 4, "blocks": (1, 1, 2, 1)}),
    ("plain_resnet", {"num_mel_bins": 16, "channels": 4, "blocks": (1, 2, 1, 1), "bottleneck": True}),
    ("campplus", {"num_mel_bins": 16, "head_channels": 4, "init_channels": 8, "growth": 4, "blocks": (2, 3, 1)}),
    ("redimnet2", {**REDIM, "stages": STAGES}),
    ("redimnet2", {**REDIM, "stages": STAGES, "both_outputs": True, "group_norm": True, "pool_maps": True}),
    (
        "redimnet2",
        {
            **REDIM,
            "stages": (StageConfig(frame_stride=2, blocks=2, expansion=1.5, kernels=((3, 3), (3, 5))),),
            "maps_block": "convnext",
            "out_channels": None,
            "embedding_norm": True,
            "global_context": False,
        },
    ),
    ("redimnet2", {**REDIM, "stages": STAGES, "maps_block": "residual_gated", "context_block": "position"}),
    ("ge2e_lstm", {"hidden": 8, "projection": 0, "num_layers": 1, "head": "linear", "head_dim": 5}),
    ("embedding_diffusion", {"sampling": EmbeddingSamplingConfig(num_steps=2)}),
    ("embedding_linear", {}),
    ("embedding_mlp", {}),
    ("rawnet1", {"channels": (4, 8)}),
    ("rawnet1_cnn", {"channels": (4, 8)}),
    ("rawnet1_pytorch", {"channels": (4, 8), "gru_dim": 6}),
    ("rawnet1_pytorch", {"channels": (4, 8), "gru_dim": 6, "preact_bypass": True}),
    ("rawnet2", {"channels": (4, 8), "gru_dim": 6, "ln_affine": "none"}),
    ("rawnet2", {"channels": (4, 8), "gru_dim": 6, "ln_affine": "none", "front_end": "strided"}),
    ("rawnet2", {"channels": (4, 8), "gru_dim": 6, "num_samples": 9000, "preact_bypass": True, "fms": "add_mul"}),
    ("rawnet2_modified", {"channels": (4, 8), "blocks": (1, 2)}),
    ("rawnet3", {"channels": 16, "pooled_channels": 8}),
]


def randomised(name: str, settings: dict) -> tuple[torch.nn.Module, torch.Tensor]:
    """A small network in float64 whose norms have random weights and statistics, and features for it."""
    torch.manual_seed(0)
    config_class, module = MODELS[name]
    config = config_class(
        **({} if name in ("ge2e_lstm", "enhanced", "transformed") else {"embedding_dim": 5}) | settings
    )
    model = module(config).double().eval()
    for layer in model.modules():
        if isinstance(layer, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            for value, low, high in ((layer.running_mean, -1, 1), (layer.running_var, 0.5, 2), (layer.weight, -2, 2)):
                if value is not None:
                    torch.nn.init.uniform_(value, low, high)
            if layer.bias is not None:
                torch.nn.init.uniform_(layer.bias, -1, 1)
    if name == "enhanced":
        torch.nn.init.normal_(model.enhancer.uconv_4.weight)  # at first it adds nothing
    if name == "transformed":
        torch.nn.init.normal_(model.transform)
    if name == "embedding_diffusion":
        for layer in (model.out[-1], *(block.out_layers[-1] for block in model.res_blocks)):
            layer.reset_parameters()  # at first it estimates zero
    if name.startswith("embedding"):
        return model, torch.randn(3, 5, dtype=torch.float64)
    rows, length = (1, 9000) if config.num_mel_bins is None else (config.num_mel_bins, 97)
    return model, torch.randn(3, rows, length, dtype=torch.float64)


def test_every_network_is_compared() -> None:
    assert {name for name, _ in SETTINGS} == set(MODELS)


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_folded_networks_give_the_same_embedding(name: str, settings: dict, monkeypatch) -> None:
    monkeypatch.setattr("sv.models.rawnet.sincnet.CHUNK_FRAMES", 200)
    monkeypatch.setattr("sv.models.rawnet.rawnet3.CHUNK_FRAMES", 50)
    model, features = randomised(name, settings)
    before = {entry: value.clone() for entry, value in model.state_dict().items()}
    folded = for_inference(model)
    with torch.inference_mode():
        torch.testing.assert_close(folded.embed(features), model.embed(features), rtol=1e-9, atol=1e-9)
    assert folded is not model
    assert all(torch.equal(value, before[entry]) for entry, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in folded.parameters())


@pytest.mark.parametrize(("name", "settings"), [case for case in SETTINGS if case[0] == "ecapa_tdnn"])
def test_folded_ecapa_tdnn_rounds_alike_in_single_precision(name: str, settings: dict) -> None:
    model, features = randomised(name, settings)
    with torch.inference_mode():
        exact, single = model.embed(features), for_inference(model.float()).embed(features.float()).double()
    assert (single - exact).norm() < 1e-5 * exact.norm()


def test_layers_over_time_work_frame_by_frame_in_inference() -> None:
    folded = for_inference(randomised("ecapa_tdnn", {"num_mel_bins": 16, "channels": 16})[0])
    assert not [layer for layer in folded.modules() if isinstance(layer, torch.nn.Conv1d)]
    assert [name for name, layer in folded.named_modules() if isinstance(layer, torch.nn.BatchNorm1d)] == [
        "bn_pool",  # of one vector per utterance
        "bn_embedding",
    ]


@pytest.mark.parametrize(("name", "settings"), [case for case in SETTINGS if case[0] not in ("rawnet2", "rawnet3")])
def test_folding_draws_nothing_so_that_validation_does_not_change_training(name: str, settings: dict) -> None:
    model, _ = randomised(name, settings)
    before = torch.get_rng_state()
    for_inference(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_without_anything_to_fold_folds_to_itself() -> None:
    model, _ = randomised("embedding_mlp", {})
    assert model.folded() is model


class Scaled(Foldable):
    def folded(self) -> torch.nn.Module:
        return torch.nn.Identity()


def test_parts_are_folded_at_any_depth() -> None:
    model = torch.nn.ModuleDict({"a": torch.nn.Sequential(torch.nn.ReLU(), Scaled()), "b": Scaled()})
    assert fold_parts(model) is model
    assert [type(layer) for layer in (*model["a"], model["b"])] == [torch.nn.ReLU, torch.nn.Identity, torch.nn.Identity]


def test_norms_of_a_sequence_go_into_the_convolutions_before_them() -> None:
    conv, norm = torch.nn.Conv1d(1, 1, 1), torch.nn.BatchNorm1d(1)
    with torch.no_grad():
        for value, number in ((conv.weight, 2.0), (conv.bias, 1.0), (norm.weight, 3.0), (norm.bias, 5.0)):
            value.fill_(number)
    layers = fuse_sequence(torch.nn.Sequential(conv, norm, torch.nn.ReLU()).eval())
    scale = 3 / (1 + 1e-5) ** 0.5
    assert layers(torch.tensor([[[1.0, -4.0]]])).flatten().tolist() == pytest.approx([3 * scale + 5, 0])
    assert [type(layer) for layer in layers] == [torch.nn.Conv1d, torch.nn.Identity, torch.nn.ReLU]
