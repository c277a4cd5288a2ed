"""Enhancement losses: the published values and gradients, and MMD of many speakers at once."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.enhancement import (
    LogDistanceConfig,
    LogDistanceLoss,
    centroid_triplet,
    cosine_loss,
    pair_distances,
    session_mmd,
)


@pytest.fixture(scope="module")
def rows(chirp, speech_like, class_weight) -> dict[str, Tensor]:
    def unit(count, *constants):
        return F.normalize(chirp(count * 6, *constants).reshape(count, 6), dim=1)

    return {
        "outputs": 0.4 * speech_like(4, 1, 6)[:, 0],
        "own": unit(4, 0.29, 0.4, 0.6),
        "other": unit(4, 0.19, 0.8, 0.3),
        "weight": class_weight,
        "bias": torch.linspace(-0.1, 0.1, 5, dtype=torch.float64),
    }


def softmax(o: Tensor, r: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(F.linear(o, r["weight"], r["bias"]), torch.tensor([0, 1, 3, 4]))


LOSSES = {
    "mse": lambda o, r: F.mse_loss(o, 0.8 * r["own"]),
    "mae": lambda o, r: F.l1_loss(o, 0.8 * r["own"]),
    "cosine": lambda o, r: cosine_loss(o, r["own"]),
    "mse + cosine": lambda o, r: F.mse_loss(o, 0.8 * r["own"]) + cosine_loss(o, 0.8 * r["own"]),
    "softmax": softmax,
    "mse + softmax": lambda o, r: F.mse_loss(o, 0.8 * r["own"]) + softmax(o, r),
    "triplet": lambda o, r: centroid_triplet(o, r["own"], r["other"]),
}


@pytest.mark.parametrize(
    ("name", "value", "norm", "first"),
    [
        ("mse", 0.104980, 0.132275, (-0.014793, 0.003862, 0.006373)),
        ("mae", 0.263383, 0.204124, (-0.041667, 0.041667, 0.041667)),
        ("cosine", 0.586238, 0.603571, (-0.076676, -0.006654, 0.013957)),
        ("mse + cosine", 0.691218, 0.710198, (-0.091469, -0.002791, 0.020330)),
        ("softmax", 1.355597, 0.771828, (-0.114131, -0.170373, -0.099091)),
        ("mse + softmax", 1.460577, 0.767999, (-0.128924, -0.166510, -0.092718)),
        ("triplet", 0.875327, 0.777626, (-0.049943, -0.007693, -0.025642)),
    ],
)
def test_published_values_and_gradients(name, value, norm, first, rows) -> None:
    outputs = rows["outputs"].clone().requires_grad_()
    loss = LOSSES[name](outputs, rows)
    loss.backward()
    assert [loss.item(), outputs.grad.norm().item()] == pytest.approx([value, norm], abs=1e-6)
    assert outputs.grad[0, :3].tolist() == pytest.approx(first, abs=1e-6)


def test_log_distance_and_its_gradient_by_hand() -> None:
    outputs = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    loss = LogDistanceLoss(LogDistanceConfig(distance_floor=0.5))(outputs, targets)
    loss.backward()
    assert loss.item() == pytest.approx((math.log(25.5) + math.log(1.5) + math.log(0.5)) / 3)
    expected = [[2 * 3 / 25.5 / 3, 2 * 4 / 25.5 / 3], [2 / 1.5 / 3, 0.0], [0.0, 0.0]]
    torch.testing.assert_close(outputs.grad, torch.tensor(expected, dtype=torch.float64))


def test_log_distance_pulls_the_hardest_at_the_root_of_the_floor() -> None:
    distances = torch.tensor([0.05, 0.09, 0.1, 0.11, 0.2], dtype=torch.float64)[:, None].requires_grad_()
    loss = LogDistanceLoss(LogDistanceConfig(distance_floor=0.01))
    loss(distances, torch.zeros(5, 1)).backward()
    pull = 5 * distances.grad[:, 0]
    assert pull.argmax() == 2
    assert pull[2].item() == pytest.approx(0.01**-0.5)


@pytest.mark.parametrize("floor", [0.0, -1.0, float("nan")])
def test_log_distance_needs_a_floor(floor: float) -> None:
    with pytest.raises(ValueError, match="distance_floor must be positive, got"):
        LogDistanceConfig(distance_floor=floor)


def test_triplet_with_a_margin_hinges_each_row() -> None:
    outputs = torch.tensor([[1.0, 0], [1.0, 0]])
    own, other = torch.tensor([[1.0, 0], [0, 1.0]]), torch.tensor([[0, 1.0], [1.0, 0]])
    assert centroid_triplet(outputs, own, other, margin=0.3).item() == pytest.approx((0 + 1.3) / 2)
    assert centroid_triplet(outputs, own, other).item() == pytest.approx(1.0)


@pytest.fixture(scope="module")
def pairs(speech_like) -> tuple[Tensor, Tensor]:
    """Outputs of three same-session and two different-session pairs, and which is which."""
    return 0.4 * speech_like(10, 1, 6)[:, 0], torch.tensor([True] * 3 + [False] * 2)


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        ("cosine", (0.679039, 1.089853, 1.082688, 1.363413, 1.468078)),
        ("rms", (0.340940, 0.362316, 0.447946, 0.372906, 0.401176)),
    ],
)
def test_pair_distances(distance, expected, pairs) -> None:
    assert pair_distances(pairs[0].reshape(5, 2, 6), distance).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("distance", "sigma", "value", "mmd", "norm"),
    [
        ("cosine", 1.0, 0.953069, 0.192643, 1.791755),
        ("cosine", 0.1, 2.089807, 1.329382, 11.373111),
        ("rms", 1.0, 0.177829, 0.000014, 0.108944),
        ("rms", 0.1, 0.202481, 0.024666, 0.897601),
    ],
)
def test_session_matching_has_the_published_values_and_gradients(
    distance, sigma, value, mmd, norm, pairs, rows
) -> None:
    outputs, same = pairs[0].clone().requires_grad_(), pairs[1]
    target = rows["own"][:1].expand(10, 6)
    distances = pair_distances(outputs.reshape(5, 2, 6), distance)
    found = session_mmd(distances, same, torch.zeros(5, dtype=torch.long), sigma)
    regression = cosine_loss(outputs, target) if distance == "cosine" else F.mse_loss(outputs, target)
    (found + regression).backward()
    assert [(found + regression).item(), found.item()] == pytest.approx([value, mmd], abs=1e-6)
    assert outputs.grad.norm().item() == pytest.approx(norm, abs=1e-6)


def test_mmd_of_a_batch_is_the_mean_over_its_speakers() -> None:
    generator = torch.Generator().manual_seed(0)
    distances = torch.rand(40, dtype=torch.float64, generator=generator)
    speakers, same = torch.arange(40) % 3 * 7, torch.rand(40, generator=generator) < 0.6
    alone = [
        session_mmd(distances[speakers == k], same[speakers == k], speakers[speakers == k], 0.2) for k in (0, 7, 14)
    ]
    torch.testing.assert_close(session_mmd(distances, same, speakers, 0.2), torch.stack(alone).mean())


def test_mmd_of_equal_distributions_is_zero_and_the_median_is_a_width() -> None:
    distances, same = torch.tensor([0.2, 0.5, 0.9, 0.2, 0.5, 0.9]), torch.tensor([True] * 3 + [False] * 3)
    one = torch.zeros(6, dtype=torch.long)
    assert session_mmd(distances, same, one).item() == pytest.approx(0, abs=1e-6)
    shifted = torch.tensor([0.2, 0.5, 0.9, 0.3, 0.6, 1.0])
    torch.testing.assert_close(session_mmd(shifted, same, one), session_mmd(shifted, same, one, 0.5))
    torch.testing.assert_close(session_mmd(100 * shifted, same, one), session_mmd(shifted, same, one))


def test_equal_outputs_have_a_finite_gradient() -> None:
    outputs = torch.ones(2, 2, 3, requires_grad=True)
    pair_distances(outputs, "rms").sum().backward()
    assert torch.isfinite(outputs.grad).all()


@pytest.mark.parametrize("same", [True, False])
def test_a_speaker_with_pairs_of_one_kind_is_refused(same) -> None:
    kinds = torch.tensor([True, False, same, same])
    with pytest.raises(ValueError, match="pairs within sessions only, or across sessions only"):
        session_mmd(torch.rand(4), kinds, torch.tensor([0, 0, 1, 1]), 1.0)
