"""GE2E against the numbers that the TensorFlow code gives, against a loop written from the paper, and by hand."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sv.losses.ge2e import GE2E, GE2EConfig, centroid_cosines


def chirp(n, a, b, c):
    t = np.arange(n, dtype=np.float64)
    return np.sin(a * t**2 + b * t + c)


def vectors(speakers, utterances, dim):
    """Speakers that differ, utterances that differ: float64, requires a gradient."""
    common = chirp(speakers * dim, 0.37, 0.5, 0.1).reshape(speakers, 1, dim)
    own = chirp(speakers * utterances * dim, 0.11, 0.9, 0.2).reshape(speakers, utterances, dim)
    return torch.from_numpy(0.6 * common + 0.8 * own).requires_grad_()


def ge2e(form, **options):
    return GE2E(GE2EConfig(form=form, **options)).double()


def by_loops(embeddings, form, scale, bias):
    """Equations 6 to 9, one similarity at a time."""
    unit = embeddings / embeddings.norm(dim=2, keepdim=True)
    num_speakers, num_utterances, _ = unit.shape
    total = torch.zeros((), dtype=unit.dtype)
    for j, i in itertools.product(range(num_speakers), range(num_utterances)):
        scores = []
        for k in range(num_speakers):
            members = [unit[k, m] for m in range(num_utterances) if k != j or m != i]
            scores.append(scale * F.cosine_similarity(unit[j, i], sum(members) / len(members), dim=0) + bias)
        if form == "softmax":
            total = total - scores[j] + torch.logsumexp(torch.stack(scores), 0)
        else:
            total = total + 1 - scores[j].sigmoid() + max(s.sigmoid() for k, s in enumerate(scores) if k != j)
    return total


def test_the_input_is_what_the_numbers_were_made_from():
    x = vectors(4, 3, 6)
    assert x[0, 0, :3].tolist() == pytest.approx([0.218836, 1.243424, 0.835869], abs=1e-6)
    assert x[3, 2, :2].tolist() == pytest.approx([-0.904074, 0.199342], abs=1e-6)


@pytest.mark.parametrize(
    ("form", "utterances", "exact"),
    [("softmax", 3, 21.454428), ("contrast", 3, 11.072972), ("softmax", 2, 10.863757), ("contrast", 2, 7.364265)],
)
def test_loss_in_its_exact_form(form, utterances, exact):
    assert ge2e(form)(vectors(4, utterances, 6)).item() == pytest.approx(exact, abs=1e-6)


# Of the TensorFlow code, which adds 1e-6 under its roots and in its logarithm: hence the tolerance, and its gradient of b
# in the softmax form, where the exact one is 0.
PUBLISHED = [
    ("softmax", 3, 21.454464, 1.743953, 0, 36.671213, (-3.162102, 2.386211, -4.400721)),
    ("contrast", 3, 11.072967, -0.062747, -0.1458, 6.614480, (-0.537754, 0.645904, -1.039902)),
    ("softmax", 2, 10.863848, 0.738700, 0, 31.924800, (0.077179, -0.951616, -0.355682)),
    ("contrast", 2, 7.364266, -0.191753, -0.3910, 4.651392, (0.079431, 0.391282, -0.482111)),
]


@pytest.mark.parametrize(("form", "utterances", "loss", "scale", "bias", "norm", "first"), PUBLISHED)
def test_loss_and_gradients_of_the_published_code(form, utterances, loss, scale, bias, norm, first):
    criterion, x = ge2e(form), vectors(4, utterances, 6)
    value = criterion(x)
    value.backward()
    assert value.item() == pytest.approx(loss, rel=2e-5)
    assert criterion.scale.grad.item() == pytest.approx(scale, rel=1e-4, abs=1e-6)
    assert criterion.bias.grad.item() == pytest.approx(bias, rel=1e-3, abs=1e-12)
    assert x.grad.norm().item() == pytest.approx(norm, rel=2e-5)
    assert x.grad[0, 0, :3].tolist() == pytest.approx(first, rel=1e-4, abs=1e-5)


def test_similarities_of_the_published_code():
    similarities = ge2e("softmax").similarities(vectors(4, 3, 6))
    assert similarities.shape == (12, 4)
    assert similarities[0].tolist() == pytest.approx([-1.565712, 0.693330, -4.391252, -6.420520], abs=1e-4)
    assert similarities[-1].tolist() == pytest.approx([-11.903881, -5.199208, -3.541995, -3.855205], abs=1e-4)


def test_unit_axes_by_hand():
    axes = torch.eye(3, dtype=torch.float64)
    x, y, z = axes
    embeddings = torch.stack([torch.stack([y, z]), torch.stack([y, y]), torch.stack([x, x])])
    expected = torch.tensor([[0, 1, 0], [0, 0, 0], [0.5**0.5, 1, 0], [0.5**0.5, 1, 0], [0, 0, 1], [0, 0, 1]])
    torch.testing.assert_close(centroid_cosines(embeddings), expected.double())
    assert ge2e("softmax", scale=1.0, bias=0.0)(embeddings).item() == pytest.approx(5.250094, abs=1e-5)
    assert ge2e("contrast", scale=1.0, bias=0.0)(embeddings).item() == pytest.approx(5.646347, abs=1e-5)


@pytest.mark.parametrize("form", ["softmax", "contrast"])
def test_the_vectorised_form_is_the_loop_of_the_paper(form):
    torch.manual_seed(0)
    x = torch.randn(5, 4, 7, dtype=torch.float64, requires_grad=True)
    value, slow = ge2e(form)(x), by_loops(x, form, 10.0, -5.0)
    torch.testing.assert_close(value, slow)
    torch.testing.assert_close(*(torch.autograd.grad(loss, x)[0] for loss in (value, slow)))


def test_gradient_is_that_of_finite_differences():
    torch.manual_seed(1)
    x = torch.randn(3, 3, 4, dtype=torch.float64, requires_grad=True)
    for form in ("softmax", "contrast"):
        assert torch.autograd.gradcheck(ge2e(form), (x,))


def test_large_scores_do_not_overflow():
    x, y, z = torch.eye(3, dtype=torch.float64)
    embeddings = torch.stack([torch.stack([z, y]), torch.stack([x, x]), torch.stack([y, y])])
    # z has nothing in common with anyone; y, of the first speaker, is the third one's own voice.
    assert ge2e("softmax", scale=1e4)(embeddings).item() == pytest.approx(1e4 + np.log(3), abs=1e-6)


def test_a_scale_below_zero_counts_as_barely_positive():
    x = vectors(4, 3, 6).detach()
    assert ge2e("softmax", scale=-3.0)(x).item() == pytest.approx(12 * np.log(4), abs=1e-4)


def test_one_utterance_a_speaker_is_refused():
    with pytest.raises(ValueError, match="GE2E needs at least 2 utterances per speaker"):
        GE2E(GE2EConfig())(torch.randn(4, 1, 6))


def test_cosines_are_those_of_voxceleb_trainer_but_for_its_clamp_and_its_long_vectors():
    """Its loss is a mean and clamps cosines at 1e-6: 1.392693 with ours, 1.415019 with its centroids of unnormalised vectors.

    The paper has unit vectors and no clamp, and no published weights need either, so that there is no option for them.
    """
    own = torch.arange(4).repeat_interleave(3)
    cosines = centroid_cosines(vectors(4, 3, 6))
    assert F.cross_entropy(10 * cosines.clamp_min(1e-6) - 5, own).item() == pytest.approx(1.392693, abs=1e-6)
    x = vectors(4, 3, 6)
    of_all = F.cosine_similarity(x[:, :, None], x.mean(dim=1), dim=3).flatten(0, 1)
    of_others = F.cosine_similarity(x, x.sum(dim=1, keepdim=True) - x, dim=2).reshape(-1, 1)
    cosines = of_all.scatter(1, own[:, None], of_others)
    assert F.cross_entropy(10 * cosines.clamp_min(1e-6) - 5, own).item() == pytest.approx(1.415019, abs=1e-6)
