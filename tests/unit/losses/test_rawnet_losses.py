"""The losses of RawNet1 and RawNet2 by their definitions, and by numbers of the published code."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sv.losses import (
    LOSSES,
    AAMSoftmax,
    AAMSoftmaxConfig,
    CentreConfig,
    CentreLoss,
    NormSoftmaxConfig,
    NormSoftmaxLoss,
    between_speaker,
)

IDS = torch.tensor([0, 3, 7, 49])


@pytest.fixture
def published(seeded_uniform):
    """Class weights (50, 256) and embeddings (4, 256) that the published losses were given."""
    weight, embeddings = (seeded_uniform(seed, rows * 256).reshape(rows, 256) for seed, rows in ((11, 50), (12, 4)))
    return torch.from_numpy(weight), torch.from_numpy(embeddings)


@pytest.mark.parametrize(
    ("loss", "margin", "scale", "expected"),
    [("aam", 0.1, 30.0, 9.112752), ("aam", 0.3, 15.0, 8.966572), ("am", 0.1, 30.0, 9.123817)],
)
def test_golden_margin_losses(published, loss, margin: float, scale: float, expected: float) -> None:
    (weight, embeddings), (config, kind) = published, LOSSES[loss]
    criterion = kind(256, 50, config(scale=scale)).double()
    criterion.weight.data.copy_(weight)
    assert criterion(embeddings, IDS, margin).item() == pytest.approx(expected, abs=2e-6)


def test_golden_margin_loss_of_opposite_embeddings(published) -> None:
    weight, _ = published
    criterion = AAMSoftmax(256, 50, AAMSoftmaxConfig(scale=30.0, tail="published")).double()
    criterion.weight.data.copy_(weight)
    assert criterion(-weight[IDS], IDS, 0.3).item() == pytest.approx(37.892181, abs=2e-6)


def test_norm_softmax_classifies_embeddings_of_norm_ten() -> None:
    criterion = NormSoftmaxLoss(8, 5, NormSoftmaxConfig())
    embeddings = torch.randn(4, 8)
    scaled = 10 * embeddings / embeddings.norm(dim=1, keepdim=True)
    ids = torch.tensor([0, 1, 4, 2])
    expected = F.cross_entropy(criterion.classifier(scaled), ids)
    torch.testing.assert_close(criterion(embeddings, ids), expected)
    torch.testing.assert_close(criterion(7 * embeddings, ids), expected)


def test_between_speaker_loss_is_the_mean_off_diagonal_product() -> None:
    weight = torch.randn(6, 4, dtype=torch.float64)
    rows = weight / (weight.norm(dim=1, keepdim=True) / 5**0.5 + 1e-4)
    products = rows @ rows.T
    products.fill_diagonal_(0)
    torch.testing.assert_close(between_speaker(weight), products.mean())
    cosines = F.cosine_similarity(weight[:, None], weight[None], dim=-1).fill_diagonal_(0)
    assert between_speaker(weight).item() == pytest.approx(5 * cosines.mean().item(), rel=5e-3, abs=1e-4)


def test_between_speaker_loss_of_orthogonal_and_of_equal_weights() -> None:
    assert between_speaker(torch.eye(4)).item() == pytest.approx(0, abs=1e-7)
    equal = 5 / (1 + 1e-4 * 5**0.5) ** 2  # the norm's epsilon on weights of norm 1
    assert between_speaker(torch.eye(3)[:1].repeat(4, 1)).item() == pytest.approx(equal * 12 / 16, rel=1e-5)


def test_centre_loss_and_its_gradient_by_hand() -> None:
    loss = CentreLoss(2, 3, CentreConfig())
    loss.centres.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]]))
    embeddings = torch.tensor([[3.0, 4.0], [1.0, 3.0]], requires_grad=True)
    value = loss(embeddings, torch.tensor([0, 1]))
    assert value.item() == pytest.approx(0.5 * (25 + 4) / 2)
    value.backward()
    torch.testing.assert_close(embeddings.grad, torch.tensor([[1.5, 2.0], [0.0, 1.0]]))
    assert not list(loss.parameters())


def test_centres_move_as_the_published_rule_says() -> None:
    rng = np.random.default_rng(0)
    loss, ids = CentreLoss(4, 3, CentreConfig()), np.array([2, 0, 2, 2])
    before, embeddings = loss.centres.numpy().copy(), rng.normal(size=(4, 4)).astype(np.float32)
    loss.update(torch.from_numpy(embeddings), torch.from_numpy(ids))
    for speaker in range(3):
        mine = embeddings[ids == speaker]
        change = 0.5 * (before[speaker] - mine).sum(axis=0) / (1 + len(mine))
        np.testing.assert_allclose(loss.centres[speaker], before[speaker] - change, atol=1e-6)
