"""The published networks' outputs and sizes; element dropout; residual and normalised outputs."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sv.models.embedding_mlp import PUBLISHED, EmbeddingMLP, EmbeddingMLPConfig


def chirp(count: int, a: float = 0.37, b: float = 0.5, c: float = 0.1) -> Tensor:
    t = np.arange(count)
    return torch.from_numpy(np.sin(a * t**2 + b * t + c))


def published(version: str, dim: int = 4, **options) -> EmbeddingMLP:
    model = EmbeddingMLP(EmbeddingMLPConfig(embedding_dim=dim, **{**PUBLISHED[version], **options})).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 1.5 / math.sqrt(parameter.shape[1]) if parameter.ndim == 2 else 0.1
            parameter.copy_(scale * chirp(parameter.numel()).reshape(parameter.shape))
    return model


INPUTS = 0.6 * chirp(8).reshape(2, 4) + 0.8 * chirp(8, 0.11, 0.9, 0.2).reshape(2, 4)
OUTPUTS = {
    "v1": [
        (1.401865, -0.190480, 0.892697, -0.502987),
        (0.473194, 0.132304, 0.370316, -0.332474),
        (0.455147, 0, 0, 0),
    ],
    "v3": [
        (2.035144, 0.075881, 1.450620, -0.723547),
        (-0.087481, -0.288077, 0.594208, -0.483329),
        (0.654793, 0, 0.672318, 0),
    ],
    "v4": [
        (0.276249, 0.138654, 0.637092, -0.628933),
        (0.270265, -0.098540, 0.295166, -0.432036),
        (0.014247, 0.074868, 0.051862, 0),
    ],
}
OUTPUTS["v2"] = OUTPUTS["v1"]


@pytest.mark.parametrize("version", PUBLISHED)
def test_published_outputs(version: str) -> None:
    first, second, rectified = OUTPUTS[version]
    with torch.no_grad():
        found = published(version, activation="elu")(INPUTS).embedding
        assert found[0].tolist() == pytest.approx(first, abs=1e-6)
        assert found[1].tolist() == pytest.approx(second, abs=1e-6)
        assert published(version).embed(INPUTS)[0].tolist() == pytest.approx(rectified, abs=1e-6)


@pytest.mark.parametrize(
    ("version", "size"), [("v1", 9_443_840), ("v2", 9_443_840), ("v3", 2_099_712), ("v4", 11_543_040)]
)
def test_published_sizes(version: str, size: int) -> None:
    model = EmbeddingMLP(EmbeddingMLPConfig(**PUBLISHED[version]))
    assert sum(parameter.numel() for parameter in model.parameters()) == size


def test_dropout_drops_elements_and_never_whole_rows() -> None:
    """The published code zeroes whole rows: half of a batch would come out as the bias alone."""
    config = EmbeddingMLPConfig(embedding_dim=32, hidden=(8,), dropout=0.2, dropout_after=(1,), residual=False)
    model = EmbeddingMLP(config).train()
    dropped: list[Tensor] = []
    model.layers[1].register_forward_pre_hook(lambda _, inputs: dropped.append(inputs[0] == 0))
    torch.manual_seed(0)
    model(torch.randn(200, 32))
    rates = dropped[0].double().mean(dim=1)  # of each row
    assert rates.mean().item() == pytest.approx(0.2, abs=0.01)
    assert rates.min() > 0.05
    assert rates.max() < 0.4


def test_dropout_is_off_in_evaluation() -> None:
    model = published("v1")
    torch.testing.assert_close(model.embed(INPUTS), published("v2").embed(INPUTS))
    assert model.train().embed(INPUTS).ne(model.eval().embed(INPUTS)).any()


def test_output_without_activation_reaches_negative_values() -> None:
    assert published("v2", activate_output=False).embed(INPUTS).min() < 0
    assert published("v2").embed(INPUTS).min() == 0


def test_residual_and_normalised_output_by_hand() -> None:
    plain = published("v3", activate_output=False).embed(INPUTS)
    torch.testing.assert_close(published("v3", activate_output=False, residual=True).embed(INPUTS), plain + INPUTS)
    unit = published("v3", activate_output=False, normalise_output=True).embed(INPUTS)
    torch.testing.assert_close(unit, plain / plain.norm(dim=1, keepdim=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": ()}, "every one of hidden must be positive"),
        ({"embedding_dim": 0}, "must be positive, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"dropout_after": (5,)}, "dropout_after names layers from 1 to 4, got 5"),
    ],
)
def test_settings_out_of_range_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmbeddingMLPConfig(**arguments)
