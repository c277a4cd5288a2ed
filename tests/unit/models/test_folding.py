import pytest
import torch

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
