"""Losses over a batch of speakers: voxceleb_trainer's values and gradients, as it means them, and closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F

from sv.losses import AngularPrototypical, Prototypical, SoftmaxLoss, Triplet, TripletConfig, split_queries

NO_DRAWS = torch.zeros(4, 2)


def accuracy(logits) -> float:
    return 100 * logits.argmax(dim=1).eq(torch.arange(len(logits))).double().mean().item()


@pytest.mark.parametrize(
    ("utterances", "value", "percent", "gradient", "scale_gradient"),
    [(3, 0.503971, 75, 2.119433, 0.000773), (2, 1.256278, 50, 4.553146, 0.056436)],
)
def test_angular_prototypical_of_voxceleb_trainer(
    utterances, value, percent, gradient, scale_gradient, speech_like
) -> None:
    embeddings, loss = speech_like(4, utterances, 6).requires_grad_(), AngularPrototypical().double()
    queries, prototypes = split_queries(embeddings)
    found = loss(queries, prototypes)
    found.backward()
    assert [found.item(), embeddings.grad.norm().item()] == pytest.approx([value, gradient], abs=1e-6)
    assert abs(loss.scale.grad.item()) == pytest.approx(scale_gradient, abs=1e-6)
    assert loss.bias.grad.item() == pytest.approx(0, abs=1e-12)
    assert accuracy(loss.similarities(queries, prototypes)) == percent


def test_prototypical_of_voxceleb_trainer(speech_like) -> None:
    embeddings, loss = speech_like(4, 3, 6).requires_grad_(), Prototypical()
    queries, prototypes = split_queries(embeddings)
    found = loss(queries, prototypes)
    found.backward()
    assert [found.item(), embeddings.grad.norm().item()] == pytest.approx([0.624356, 1.065884], abs=1e-6)
    assert accuracy(loss.similarities(queries, prototypes)) == 75
    torch.testing.assert_close(loss.similarities(queries, prototypes), -torch.cdist(queries, prototypes).square())


def test_softmax_with_angular_prototypical_of_voxceleb_trainer(speech_like, class_weight) -> None:
    embeddings, softmax, prototypical = speech_like(4, 2, 6).requires_grad_(), SoftmaxLoss(6, 5), AngularPrototypical()
    with torch.no_grad():
        softmax.classifier.weight.copy_(class_weight)
        softmax.classifier.bias.copy_(torch.linspace(-0.1, 0.1, 5))
    speakers = torch.tensor([0, 1, 3, 4]).repeat_interleave(2)
    found = softmax.double()(embeddings.flatten(0, 1), speakers) + prototypical.double().of_groups(embeddings)
    found.backward()
    assert [found.item(), embeddings.grad.norm().item()] == pytest.approx([2.166976, 4.744154], abs=1e-6)
    assert abs(prototypical.scale.grad.item()) == pytest.approx(0.056436, abs=1e-6)


def triplet(margin: float, hard_rank: int = 10, hard_prob: float = 0.5) -> Triplet:
    return Triplet(TripletConfig(margin=margin, hard_rank=hard_rank, hard_prob=hard_prob))


@pytest.mark.parametrize(
    ("margin", "value", "gradient"), [(0.1, 0.225995, 1.204143), (0.3, 0.375995, 1.204143), (1.0, 1.034281, 1.386803)]
)
def test_triplet_with_the_hardest_negatives(margin, value, gradient, speech_like) -> None:
    embeddings, loss = speech_like(4, 2, 6).requires_grad_(), triplet(margin, hard_rank=0, hard_prob=1.0)
    found = loss.of_groups(embeddings, NO_DRAWS)
    found.backward()
    assert [found.item(), embeddings.grad.norm().item()] == pytest.approx([value, gradient], abs=2e-6)
    anchors, positives = F.normalize(embeddings.detach(), dim=2).unbind(1)
    assert loss.mine(torch.cdist(anchors, positives).square(), NO_DRAWS).tolist() == [1, 3, 1, 2]


DISTANCES = torch.tensor([[1.0, 0.5, 1.2, 1.05, 3.0], *[[9.0, 1.0, 2.0, 3.0, 4.0]] * 4])


def mined(loss: Triplet) -> set[int]:
    """Negatives of the first anchor over a grid of second draws."""
    draws = torch.linspace(0, 0.9999, 40)
    return {int(loss.mine(DISTANCES, torch.stack([torch.zeros(5), draw.repeat(5)], 1))[0]) for draw in draws}


def test_mining_by_rank() -> None:
    assert mined(triplet(0.1, hard_rank=0, hard_prob=1.0)) == {1}
    assert mined(triplet(0.1, hard_rank=1, hard_prob=1.0)) == {1, 3}
    assert mined(triplet(0.1, hard_rank=1, hard_prob=0.0)) == {1, 2, 3, 4}


def test_hard_prob_is_the_share_of_hard_negatives() -> None:
    generator = torch.Generator().manual_seed(0)
    loss, count = triplet(0.1, hard_rank=0, hard_prob=0.25), 4000
    hits = sum(int(loss.mine(DISTANCES, torch.rand(5, 2, generator=generator))[0]) == 1 for _ in range(count))
    assert hits / count == pytest.approx(0.25 + 0.75 / 4, abs=0.03)


@pytest.mark.parametrize(("margin", "expected"), [(0.1, {3}), (0.5, {2, 3}), (0.01, {1, 2, 3, 4})])
def test_semi_hard_negatives_are_beyond_the_positive_within_the_margin(margin, expected) -> None:
    assert mined(triplet(margin, hard_rank=-1)) == expected


def test_the_own_speaker_is_never_its_negative() -> None:
    for loss in (triplet(0.1, 2, 0.5), triplet(0.0, -1), triplet(10.0, -1)):
        for seed in range(20):
            embeddings = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(seed))
            distances = 2 - 2 * torch.mm(*(F.normalize(side) for side in (embeddings[:, 0], embeddings[:, 1].T)))
            draws = torch.rand(5, 2, generator=torch.Generator().manual_seed(seed + 100))
            assert (loss.mine(distances, draws) != torch.arange(5)).all()


def test_triplet_beyond_the_margin_is_zero_by_hand() -> None:
    embeddings = torch.eye(3)[:, None].repeat(1, 2, 1)  # positives at distance 0, negatives at 2
    assert triplet(1.5, 0, 1.0).of_groups(embeddings, torch.zeros(3, 2)).item() == 0
    assert triplet(2.25, 0, 1.0).of_groups(embeddings, torch.zeros(3, 2)).item() == pytest.approx(0.25)


def test_one_speaker_has_nothing_to_learn(speech_like) -> None:
    queries, prototypes = split_queries(speech_like(1, 3, 6))
    assert AngularPrototypical()(queries, prototypes).item() == 0
    assert Prototypical()(queries, prototypes).item() == 0


def test_a_negative_scale_is_not_used() -> None:
    loss = AngularPrototypical()
    torch.nn.init.constant_(loss.scale, -3.0)
    assert loss(torch.randn(4, 6), torch.randn(4, 6)).item() == pytest.approx(math.log(4), abs=1e-4)


def test_prototypes_are_means_of_all_utterances_but_the_first() -> None:
    queries, prototypes = split_queries(torch.tensor([[[1.0, 2], [3, 4], [5, 8]]]))
    assert queries.tolist() == [[1, 2]]
    assert prototypes.tolist() == [[4, 6]]


@pytest.mark.parametrize(
    ("loss", "shape", "message"),
    [
        (triplet(0.1), (12, 3, 4), "triplets need 2 utterances of 2 speakers or more, got 3 of 12"),
        (triplet(0.1, hard_rank=10), (11, 2, 4), "hard_rank 10 needs 12 speakers per batch, got 11"),
    ],
)
def test_batches_that_make_no_triplets_are_refused(loss, shape, message) -> None:
    with pytest.raises(ValueError, match=message):
        loss.of_groups(torch.randn(shape), torch.rand(shape[0], 2))


def test_parameters_and_shapes_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match=r"hard_prob must be in \[0, 1\], got 1.5"):
        TripletConfig(hard_prob=1.5)
    with pytest.raises(ValueError, match="margin must not be negative, got -1"):
        triplet(margin=-1)
    with pytest.raises(ValueError, match=r"2 utterances or more, got \(4, 1, 6\)"):
        split_queries(torch.zeros(4, 1, 6))
