"""Losses against closed forms, plain softmax and numbers computed with the published code."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sv.losses import AAMSoftmax, AAMSoftmaxConfig, AngularPrototypical, SoftmaxLoss


def golden_aam(hashed, scale: float, tail: str) -> AAMSoftmax:
    loss = AAMSoftmax(8, 5, AAMSoftmaxConfig(scale=scale, tail=tail)).double()
    with torch.no_grad():
        loss.weight.copy_(torch.from_numpy(hashed(602, (5, 8))))
    return loss


def test_softmax_of_equal_logits_is_the_log_of_the_number_of_speakers() -> None:
    loss = SoftmaxLoss(4, 7)
    with torch.no_grad():
        loss.classifier.weight.zero_()
        loss.classifier.bias.fill_(0.3)
    assert loss(torch.randn(5, 4), torch.arange(5)).item() == pytest.approx(math.log(7))


@pytest.mark.parametrize(("margin", "scale", "expected"), [(0.3, 15.0, 9.54959), (0.2, 30.0, 16.8875)])
@pytest.mark.parametrize("tail", ["continuous", "published"])
def test_golden_aam(margin: float, scale: float, expected: float, tail: str, hashed) -> None:
    embeddings = torch.from_numpy(hashed(600, (4, 8)))
    loss = golden_aam(hashed, scale, tail)(embeddings, torch.tensor([0, 1, 2, 4]), margin)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_aam_of_margin_zero_is_the_softmax_of_scaled_cosines(hashed) -> None:
    embeddings, speaker_ids = torch.from_numpy(hashed(600, (4, 8))), torch.tensor([0, 1, 2, 4])
    loss = golden_aam(hashed, 30.0, "continuous")
    cos = F.cosine_similarity(embeddings[:, None], loss.weight[None], dim=-1)
    expected = F.cross_entropy(30.0 * cos, speaker_ids)
    assert loss(embeddings, speaker_ids, 0.0).item() == pytest.approx(expected.item(), rel=1e-6)


def target_logit(degrees: float, margin: float, tail: str) -> float:
    """Logit of the target at an angle, recovered from the loss against a second, orthogonal speaker."""
    loss = AAMSoftmax(3, 2, AAMSoftmaxConfig(scale=1.0, tail=tail)).double()
    with torch.no_grad():
        loss.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]))
    angle = math.radians(degrees)
    embedding = torch.tensor([[math.cos(angle), math.sin(angle), 0]], dtype=torch.float64)
    return -math.log(math.expm1(loss(embedding, torch.tensor([0]), margin).item()))


@pytest.mark.parametrize("tail", ["continuous", "published"])
def test_margin_adds_to_the_angle_up_to_the_tail(tail: str) -> None:
    for degrees in (10, 90, 160):
        expected = math.cos(math.radians(degrees) + 0.3)
        assert target_logit(degrees, 0.3, tail) == pytest.approx(expected, rel=1e-5)


def test_tails_by_hand() -> None:
    cos = math.cos(math.radians(175))
    assert target_logit(175, 0.3, "continuous") == pytest.approx(cos - (1 - math.cos(0.3)), rel=1e-5)
    assert target_logit(175, 0.3, "published") == pytest.approx(cos - 0.3 * math.sin(0.3), rel=1e-5)


@pytest.mark.parametrize(("degrees", "shift"), [(60, 0.3), (89, 0.3), (91, 0.0), (170, 0.0)])
def test_easy_margin_is_added_below_a_right_angle_only(degrees: float, shift: float) -> None:
    assert target_logit(degrees, 0.3, "easy") == pytest.approx(math.cos(math.radians(degrees) + shift), rel=1e-5)


def test_published_tail_at_the_reference_angle() -> None:
    degrees = math.degrees(math.acos(-0.99))
    assert target_logit(degrees, 0.3, "published") == pytest.approx(-1.078656, abs=1e-5)


def test_continuous_tail_has_no_jump() -> None:
    edge = math.degrees(math.pi - 0.3)
    below, above = (target_logit(edge + step, 0.3, "continuous") for step in (-1e-4, 1e-4))
    assert below == pytest.approx(above, abs=1e-5)


def test_aam_gradient_is_finite_on_the_class_weight_itself() -> None:
    loss = AAMSoftmax(4, 3, AAMSoftmaxConfig())
    embeddings = loss.weight.detach().clone().requires_grad_()
    loss(embeddings, torch.arange(3), 0.2).backward()
    assert torch.isfinite(embeddings.grad).all()
    assert torch.isfinite(loss.weight.grad).all()


def test_aam_names_an_unknown_tail() -> None:
    with pytest.raises(ValueError, match="tail must be continuous, published or easy, got 'hard'"):
        AAMSoftmaxConfig(tail="hard")


def test_golden_angular_prototypical(hashed) -> None:
    clean, noisy = (torch.from_numpy(hashed(key, (4, 8))) for key in (600, 601))
    cosines = F.cosine_similarity(noisy[:1], clean, dim=-1)
    np.testing.assert_allclose(cosines, [-0.107243, -0.573806, -0.173059, -0.195433], rtol=1e-4)
    assert AngularPrototypical()(noisy, clean).item() == pytest.approx(7.83621, rel=1e-4)


def test_angular_prototypical_of_orthogonal_pairs_by_hand() -> None:
    unit = torch.eye(3)
    # each query: its prototype at cosine 1, two others at 0
    assert AngularPrototypical()(3 * unit, 0.5 * unit).item() == pytest.approx(math.log1p(2 * math.exp(-10)), rel=1e-3)


def test_angular_prototypical_learns_its_scale() -> None:
    loss = AngularPrototypical()
    loss(torch.randn(4, 8), torch.randn(4, 8)).backward()
    assert loss.scale.grad is not None
    assert loss.bias.grad.item() == pytest.approx(0, abs=1e-6)  # a softmax does not see a common bias
