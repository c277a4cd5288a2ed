"""The RawNet family with published names and golden weights: embeddings, stages, losses and gradients."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import from_dict
from sv.models import MODELS
from sv.published.rawnet import translate

GOLDEN = json.loads((Path(__file__).parents[3] / "golden" / "rawnet" / "numbers.json").read_text())
Build = Callable[[str, str], nn.Module]


def load(system: str, weights: dict[str, Tensor]) -> nn.Module:
    """The model with weights of published names, without pre-emphasis: the golden numbers have none."""
    published = translate(system, weights)
    table = {key: value for key, value in published.tables["model"].items() if key != "type"}
    config = from_dict(
        MODELS[system][0], {key: 0.0 if key == "pre_emphasis" else v for key, v in table.items()}, system
    )
    model = MODELS[system][1](config)
    model.load_state_dict(published.weights["model"])
    return model


@pytest.fixture(scope="module")
def published_model(published_weights) -> Build:
    """(model, published names) -> the model with golden weights, in eval mode; built once."""

    @functools.cache
    def build(system: str, names: str) -> nn.Module:
        return load(system, published_weights(names)).eval().requires_grad_(False)

    return build


@pytest.fixture(scope="module")
def embedding(published_model, published_waveforms) -> Callable[[str, str, int], Tensor]:
    """(model, published names, samples) -> embeddings of both rows; computed once."""

    @functools.cache
    def compute(system: str, names: str, num_samples: int) -> Tensor:
        return published_model(system, names).embed(published_waveforms(num_samples))

    return compute


def test_golden_waveforms_by_their_published_values(published_waveforms) -> None:
    waveforms = published_waveforms(59049)
    np.testing.assert_allclose(waveforms[0, 0, :3], [0.12090420, 0.25905681, 0.28704798], atol=1e-8)
    assert waveforms.double().square().sum().item() == pytest.approx(8071.74, abs=5e-3)


@pytest.mark.parametrize(
    "golden", GOLDEN["embeddings"], ids=lambda row: f"{row['names']}-{row['num_samples']}-{row['row']}"
)
def test_golden_embeddings(embedding, golden) -> None:
    vector = embedding(golden["model"], golden["names"], golden["num_samples"])[golden["row"]]
    np.testing.assert_allclose(vector[:6], golden["first"], atol=golden["tolerance"], rtol=0)
    assert vector.norm().item() == pytest.approx(golden["norm"], abs=5 * golden["tolerance"])
    assert vector.sum().item() == pytest.approx(golden["sum"], abs=10 * golden["tolerance"])


SIZES = {  # parameters without the speaker classifier
    ("rawnet1_pytorch", "rawnet1_pytorch"): 6_700_544 - 2 * (128 + 128 + 3 * 256),  # bn1 of five blocks is dead
    ("rawnet2", "rawnet2_original"): 7_114_578 - 2 * (128 + 128 + 3 * 256),
    ("rawnet2", "rawnet2_cleaned"): 7_114_578,
    ("rawnet2_modified", "rawnet2_modified"): 7_455_872,
    ("rawnet3", "rawnet3"): 16_280_322 - 2 * (256 + 256),  # two norms that the published code never applies
}


@pytest.mark.parametrize(("system", "names"), SIZES)
def test_number_of_parameters(published_model, system: str, names: str) -> None:
    model = published_model(system, names)
    assert sum(parameter.numel() for parameter in model.parameters()) == SIZES[system, names]


def stage_means(model: nn.Module, stages: dict[str, nn.Module], waveforms: Tensor) -> dict[str, float]:
    """Mean magnitude of what each module makes of the first row."""
    means = {}

    def keep(name: str, _: nn.Module, __: tuple, output) -> None:
        output = output[0] if isinstance(output, tuple) else output
        means[name] = output.abs().mean().item()

    hooks = [module.register_forward_hook(functools.partial(keep, name)) for name, module in stages.items()]
    model.embed(waveforms[:1])
    for hook in hooks:
        hook.remove()
    return means


def test_stages_of_rawnet2(published_model, published_waveforms) -> None:
    model = published_model("rawnet2", "rawnet2_cleaned")
    stages = {"ln": model.ln, "first_bn": model.first_bn, "fc1": model.tail.fc}
    stages |= {"bn_before_gru": model.tail.bn_before_gru, "gru": model.tail.gru}
    means = stage_means(
        model, stages | {str(i): block for i, block in enumerate(model.blocks)}, published_waveforms(59049)
    )
    means["sinc"] = model.first_conv(model.ln(published_waveforms(59049)[:1, 0])[:, None]).abs().mean().item()
    expected = {
        "ln": 0.831029, "sinc": 4.381362, "first_bn": 5.247138, "0": 6.042077, "1": 5.768612, "2": 6.682514, "3": 5.118339,
        "4": 3.784167, "5": 3.559427, "bn_before_gru": 3.646479, "gru": 0.588181, "fc1": 0.602458,
    }  # fmt: skip
    assert means == pytest.approx(expected, rel=2e-5)


def test_stages_of_rawnet2_as_published(published_model, published_waveforms) -> None:
    model = published_model("rawnet2", "rawnet2_original")
    means = {}
    for number, block in enumerate(model.blocks):  # what goes into the scaling
        hook = functools.partial(lambda key, _, inputs: means.update({key: inputs[0].abs().mean().item()}), number)
        block.fms.register_forward_pre_hook(hook)
    model.embed(published_waveforms(59049)[:1])
    expected = (11.420263, 12.411544, 15.026867, 12.130121, 10.796908, 10.156616)
    assert means == pytest.approx(dict(enumerate(expected)), rel=2e-5)


def test_stages_of_rawnet1(published_model, published_waveforms) -> None:
    model = published_model("rawnet1_pytorch", "rawnet1_pytorch")
    tail = {"bn_before_gru": model.tail.bn_before_gru, "gru": model.tail.gru, "fc1": model.tail.fc}
    stages = {"first_conv": model.first_conv, "first_bn": model.first_bn, "block0": model.blocks[1], **tail}
    means = stage_means(model, stages | {"block1": model.blocks[5]}, published_waveforms(59049))
    expected = {
        "first_conv": 0.203374, "first_bn": 0.218867, "block0": 0.401981, "block1": 1.227722, "bn_before_gru": 1.236575,
        "gru": 0.602938, "fc1": 0.580500,
    }  # fmt: skip
    assert means == pytest.approx(expected, rel=1e-5)


def test_stages_of_rawnet2_modified(published_model, published_waveforms) -> None:
    model = published_model("rawnet2_modified", "rawnet2_modified")
    stages = {"conv1": model.conv1, "fc": model.fc} | {str(i): layer for i, layer in enumerate(model.layers, start=1)}
    means = stage_means(model, stages, published_waveforms(59049))
    expected = {
        "conv1": 0.201296, "1": 0.572277, "2": 0.833885, "3": 0.754637, "4": 0.904958, "5": 0.714427, "6": 0.885738,
        "fc": 0.655011,
    }  # fmt: skip
    assert means == pytest.approx(expected, rel=2e-5)


def test_stages_of_rawnet3(published_model, published_waveforms) -> None:
    model = published_model("rawnet3", "rawnet3")
    names = ("preprocess", "conv1", "layer1", "layer2", "layer3", "layer4", "attention", "bn5", "fc6")
    means = stage_means(model, {name: getattr(model, name) for name in names}, published_waveforms(48000))
    expected = (0.807415, 3.602576, 1.290894, 1.732675, 2.753391, 2.370857, 0.003145, 0.752748, 1.234577)
    assert means == pytest.approx(dict(zip(names, expected)), rel=2e-4)


@pytest.mark.parametrize("golden", GOLDEN["training_steps"], ids=lambda row: row["names"])
def test_golden_training_step(published_weights, published_waveforms, golden) -> None:
    weights = published_weights(golden["names"])
    model = load(golden["model"], weights).train()
    head = [weights[f"fc2_gru.{name}"].requires_grad_() for name in ("weight", "bias")]
    embeddings = 10 * F.normalize(model.embed(published_waveforms(59049)))
    loss = F.cross_entropy(F.linear(embeddings, *head), torch.tensor([5, 17]))
    loss.backward()
    assert loss.item() == pytest.approx(golden["loss"], abs=2e-4)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    total = torch.nn.utils.get_total_norm([*gradients.values(), *(parameter.grad for parameter in head)])
    assert total.item() == pytest.approx(golden["gradient_norm"], rel=1e-4)
    norms = {name: gradients[name].norm().item() for name in golden["gradient_norms"]}
    # Versions of torch sum in other orders: small norms differ by a millionth of the whole.
    assert norms == pytest.approx(golden["gradient_norms"], rel=1e-3, abs=1e-6 * golden["gradient_norm"])
    assert model.first_bn.running_mean.sum().item() == pytest.approx(golden["running_mean_sum"], rel=1e-5)
    assert model.first_bn.running_var.sum().item() == pytest.approx(golden["running_var_sum"], rel=1e-5)


def test_golden_loss_of_rawnet3_in_training(published_weights, published_waveforms) -> None:
    # With two rows its last normalisation is ill-conditioned: the published code itself gives 0.5676 in single and
    # 0.5485 in double precision, and gradients of twice to eight times the norm. Those are compared in evaluation.
    # In single precision ours gives 0.5676 or, on a processor without AVX-512, 0.5621; so it is compared in double.
    model = load("rawnet3", published_weights("rawnet3")).train().double()
    with torch.no_grad():
        found = model.embed(published_waveforms(48240).double()).square().mean().item()
    assert found == pytest.approx(0.5485, abs=2e-3)


def test_golden_gradients_of_rawnet3(published_weights, published_waveforms) -> None:
    model = load("rawnet3", published_weights("rawnet3")).eval()
    loss = model.embed(published_waveforms(48240)).square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(2.41170, abs=3e-4)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert torch.nn.utils.get_total_norm(gradients.values()).item() == pytest.approx(28.164, rel=1e-3)
    expected = {"layer1.convs.3.weight": 0.75315, "layer2.afms.alpha": 0.072071}
    assert {name: gradients[name].norm().item() for name in expected} == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "system", ["rawnet1", "rawnet1_cnn", "rawnet1_pytorch", "rawnet2", "rawnet2_modified", "rawnet3"]
)
def test_two_models_of_one_config_are_the_same_shape(system: str) -> None:
    config_class, module = MODELS[system]
    config = config_class()
    first, second = (module(config).state_dict() for _ in range(2))
    assert {name: value.shape for name, value in first.items()} == {name: value.shape for name, value in second.items()}
