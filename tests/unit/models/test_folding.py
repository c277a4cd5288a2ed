import pytest
import torch

from sv.models import MODELS
from sv.models.folding import for_inference

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


def test_other_models_are_copied_as_they_are(golden_model) -> None:
    model = golden_model("ecapa_tdnn")
    copied = for_inference(model)
    assert copied is not model
    assert copied.state_dict().keys() == model.state_dict().keys()
    assert not any(parameter.requires_grad for parameter in copied.parameters())


RAW_SETTINGS = [
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


@pytest.mark.parametrize(("name", "settings"), RAW_SETTINGS)
def test_folded_rawnets_give_the_same_embedding(name: str, settings: dict, monkeypatch) -> None:
    monkeypatch.setattr("sv.models.rawnet.sincnet.CHUNK_FRAMES", 200)
    monkeypatch.setattr("sv.models.rawnet.rawnet3.CHUNK_FRAMES", 50)
    torch.manual_seed(0)
    config, module = MODELS[name]
    model = module(config(embedding_dim=5, **settings)).double()
    for entry, value in model.state_dict().items():
        if "bn" in entry and value.ndim:
            value += 0.3 * torch.rand_like(value)
    waveforms = torch.randn(3, 1, 9000, dtype=torch.float64)
    before = {entry: value.clone() for entry, value in model.state_dict().items()}
    folded = for_inference(model.eval())
    with torch.inference_mode():
        torch.testing.assert_close(folded.embed(waveforms), model.embed(waveforms), rtol=1e-9, atol=1e-9)
    assert all(torch.equal(value, before[entry]) for entry, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
