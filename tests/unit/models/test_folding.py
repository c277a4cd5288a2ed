import pytest
import torch

from sv.models.folding import for_inference


@pytest.mark.parametrize("name", ["se_resnet", "unet", "exu_net"])
@pytest.mark.parametrize("frames", [64, 61])
def test_folded_model_gives_the_same_embedding_and_leaves_the_original_alone(
    name: str, frames: int, golden_model, golden_features
) -> None:
    model, features = golden_model(name), golden_features(frames)
    before = {entry: value.clone() for entry, value in model.state_dict().items()}
    with torch.inference_mode():
        exact, folded = model(features), for_inference(model)(features)
    torch.testing.assert_close(folded.embedding, exact.embedding, rtol=1e-10, atol=1e-10)
    if exact.enhanced is not None:
        torch.testing.assert_close(folded.enhanced, exact.enhanced, rtol=1e-10, atol=1e-10)
    assert all(torch.equal(value, before[entry]) for entry, value in model.state_dict().items())


def test_fewer_normalisations_remain(golden_model) -> None:
    model = for_inference(golden_model("exu_net"))
    remaining = [name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert remaining == []
    assert not any(parameter.requires_grad for parameter in model.parameters())
