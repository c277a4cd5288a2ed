"""AM- and AAM-softmax: values and gradients of voxceleb_trainer, closed forms, sub-centres."""

import math

import pytest
import torch
import torch.nn.functional as F

from sv.losses import AAMSoftmax, AAMSoftmaxConfig, AMSoftmax, MarginSoftmaxConfig, SoftmaxLoss

SPEAKERS = torch.tensor([0, 1, 3, 4])


CONFIG = {AMSoftmax: MarginSoftmaxConfig, AAMSoftmax: AAMSoftmaxConfig}


def gradients(loss, embeddings, *arguments):
    embeddings = embeddings.clone().requires_grad_()
    value = loss(embeddings, SPEAKERS, *arguments)
    value.backward()
    weight = loss.classifier.weight if isinstance(loss, SoftmaxLoss) else loss.weight
    return [value.item(), embeddings.grad.norm().item(), weight.grad.norm().item()]


def test_softmax_of_voxceleb_trainer(speech_like, class_weight) -> None:
    loss = SoftmaxLoss(6, 5).double()
    with torch.no_grad():
        loss.classifier.weight.copy_(class_weight)
        loss.classifier.bias.copy_(torch.linspace(-0.1, 0.1, 5))
    assert gradients(loss, speech_like(4, 3, 6)[:, 0]) == pytest.approx([1.163870, 0.692718, 0.898491], abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "margin", "scale", "expected"),
    [
        (AMSoftmax, 0.1, 30, (6.048119, 8.371435, 9.585128)),
        (AMSoftmax, 0.2, 30, (8.268141, 8.738999, 10.063460)),
        (AMSoftmax, 0.3, 15, (5.373414, 4.131188, 4.884547)),
        (AMSoftmax, 0.3, 30, (10.516608, 8.759149, 10.090013)),
        (AAMSoftmax, 0.1, 30, (6.012972, 8.453509, 9.670786)),
        (AAMSoftmax, 0.2, 30, (8.223395, 8.881370, 10.206590)),
        (AAMSoftmax, 0.3, 15, (5.347193, 4.199955, 4.943039)),
        (AAMSoftmax, 0.3, 30, (10.468223, 8.894007, 10.209338)),
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_values_and_gradients_of_voxceleb_trainer(
    kind, margin, scale, expected, dtype, tolerance, speech_like, class_weight
) -> None:
    loss = kind(6, 5, CONFIG[kind](scale=scale)).to(dtype)
    with torch.no_grad():
        loss.weight.copy_(class_weight)
    found = gradients(loss, speech_like(4, 3, 6)[:, 0].to(dtype), margin)
    assert found == pytest.approx(expected, abs=tolerance, rel=tolerance)


@pytest.mark.parametrize("kind", [AMSoftmax, AAMSoftmax])
def test_margin_zero_is_the_softmax_of_scaled_cosines(kind, speech_like, class_weight) -> None:
    loss, embeddings = kind(6, 5, CONFIG[kind](scale=17.0)).double(), speech_like(4, 3, 6)[:, 0]
    cos = F.cosine_similarity(embeddings[:, None], loss.weight[None], dim=-1)
    torch.testing.assert_close(loss(embeddings, SPEAKERS, 0.0), F.cross_entropy(17.0 * cos, SPEAKERS))


def test_am_lowers_the_target_cosine_by_the_margin_by_hand() -> None:
    loss = AMSoftmax(2, 2, MarginSoftmaxConfig(scale=3.0)).double()
    with torch.no_grad():
        loss.weight.copy_(torch.eye(2))
    embedding = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    difference = 3 * (0.8 - (0.6 - 0.25))
    assert loss(embedding, torch.tensor([0]), 0.25).item() == pytest.approx(math.log1p(math.exp(difference)))


def test_only_the_nearest_sub_centre_counts_and_learns() -> None:
    loss = AMSoftmax(2, 2, MarginSoftmaxConfig(scale=5.0, subcenters=2)).double()
    plain = AMSoftmax(2, 2, MarginSoftmaxConfig(scale=5.0)).double()
    with torch.no_grad():
        loss.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, 0], [-1, -1]]))
        plain.weight.copy_(torch.tensor([[0.0, 1], [-1, 0]]))
    embedding, speaker = torch.tensor([[-0.3, 2.0]], dtype=torch.float64), torch.tensor([0])
    value = loss(embedding, speaker, 0.2)
    torch.testing.assert_close(value, plain(embedding, speaker, 0.2))
    value.backward()
    assert loss.weight.grad.abs().sum(dim=1).gt(0).tolist() == [False, True, True, False]


@pytest.mark.parametrize("kind", [AMSoftmax, AAMSoftmax])
def test_one_sub_centre_repeated_changes_nothing(kind, speech_like, class_weight) -> None:
    plain, doubled = (kind(6, 5, CONFIG[kind](subcenters=count)).double() for count in (1, 2))
    with torch.no_grad():
        plain.weight.copy_(class_weight)
        doubled.weight.copy_(class_weight.repeat_interleave(2, dim=0))
    embeddings = speech_like(4, 3, 6)[:, 0]
    torch.testing.assert_close(doubled(embeddings, SPEAKERS, 0.2), plain(embeddings, SPEAKERS, 0.2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"scale": 0.0}, "scale must be positive, got 0.0"), ({"subcenters": 0}, "subcenters must be at least 1, got 0")],
)
def test_bad_parameters_are_named(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        MarginSoftmaxConfig(**arguments)
