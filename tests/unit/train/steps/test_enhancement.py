"""The step of enhancement: its terms by hand, and what it makes of a corpus drawn from a model of sessions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sv.data.sampler import ShuffledConfig
from sv.enhancement.batches import EmbeddingBatch
from sv.features.embedding import EmbeddingConfig, EmbeddingInput
from sv.losses.enhancement import centroid_triplet, cosine_loss, pair_distances, session_mmd
from sv.models.embedding_mlp import PUBLISHED, EmbeddingMLP, EmbeddingMLPConfig
from sv.scoring import compute_eer
from sv.train.steps.enhancement import EnhancementConfig, EnhancementStep

DIM = 4
ROWS = torch.randn(6, DIM, generator=torch.Generator().manual_seed(0))
TARGETS = F.normalize(torch.randn(6, 2, DIM, generator=torch.Generator().manual_seed(1)), dim=2)
SPEAKERS = torch.tensor([0, 1, 2, 0, 1, 2])


def step_of(**loss) -> EnhancementStep:
    torch.manual_seed(0)
    model = EmbeddingMLP(EmbeddingMLPConfig(embedding_dim=DIM, hidden=(2,)))
    return EnhancementStep(EmbeddingInput(EmbeddingConfig()), model, EnhancementConfig(**loss), 3)


def batch_of(embeddings: torch.Tensor, targets: torch.Tensor, speaker_ids: torch.Tensor, **more) -> EmbeddingBatch:
    return EmbeddingBatch(embeddings=embeddings, targets=targets, speaker_ids=speaker_ids, utterances=(), **more)


def test_regression_and_classification_are_summed_by_weight() -> None:
    step = step_of(terms=(("mse", 2.0), ("mae", 0.5), ("cosine", 1.0), ("softmax", 3.0)))
    outputs, targets = step.model.embed(F.normalize(ROWS)), TARGETS[:, 0]
    losses = step(batch_of(ROWS, targets, SPEAKERS))
    expected = {
        "mse": F.mse_loss(outputs, targets),
        "mae": F.l1_loss(outputs, targets),
        "cosine": cosine_loss(outputs, targets),
        "softmax": step.criteria["softmax"](outputs, SPEAKERS),
    }
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)
    weights = {"mse": 2.0, "mae": 0.5, "cosine": 1.0, "softmax": 3.0}
    torch.testing.assert_close(losses["loss"], sum(weights[name] * value for name, value in expected.items()))


@pytest.mark.parametrize("normalise", [True, False])
def test_an_utterances_own_target_is_read_as_the_inputs_are(normalise: bool) -> None:
    """So that a residual network that adds nothing gives the clean embedding for the clean embedding."""
    terms = (("mse", 1.0), ("log_distance", 1.0))
    step = step_of(terms=terms, target="utterance", leave_one_out=False, distance_floor=0.25)
    step.frontend.config = EmbeddingConfig(normalise=normalise)
    clean = 3 * TARGETS[:, 0]
    read = TARGETS[:, 0] if normalise else clean
    outputs = step.model.embed(F.normalize(ROWS) if normalise else ROWS)
    losses = step(batch_of(ROWS, clean, SPEAKERS))
    torch.testing.assert_close(losses["mse"], F.mse_loss(outputs, read))
    torch.testing.assert_close(losses["log_distance"], ((outputs - read).pow(2).sum(1) + 0.25).log().mean())
    torch.nn.init.zeros_(step.model.layers[-1].weight)
    torch.nn.init.zeros_(step.model.layers[-1].bias)
    assert step(batch_of(clean, clean, SPEAKERS))["mse"].item() == 0


@pytest.mark.parametrize(
    ("copies", "crops", "augment", "fits"),
    [(0, 0, True, False), (2, 0, True, True), (2, 0, False, False), (0, 1, False, True)],
)
def test_inputs_that_are_their_own_targets_are_refused(copies, crops, augment, fits) -> None:
    loss = EnhancementConfig(target="utterance", leave_one_out=False, noisy_copies=copies, crops=crops)
    batches = ShuffledConfig(augment=augment)
    if fits:
        EnhancementStep.check(loss, batches, None)
    else:
        with pytest.raises(ValueError, match="each input is its own target"):
            EnhancementStep.check(loss, batches, None)


def test_triplet_takes_the_own_target_and_the_others() -> None:
    step = step_of(terms=(("triplet", 1.0),), triplet_margin=0.5)
    outputs = step.model.embed(F.normalize(ROWS))
    expected = centroid_triplet(outputs, TARGETS[:, 0], TARGETS[:, 1], 0.5)
    batch = batch_of(ROWS, TARGETS[:, 0], SPEAKERS, other_targets=TARGETS[:, 1])
    torch.testing.assert_close(step(batch)["loss"], expected)


def test_session_matching_takes_pairs() -> None:
    step = step_of(terms=(("mmd", 1.0), ("cosine", 1.0), ("softmax", 1.0)), mmd_distance="rms", mmd_sigma=0.1)
    rows, targets = ROWS.repeat(2, 1), TARGETS.flatten(0, 1)
    speakers, same = torch.tensor([0, 0, 2, 2, 2, 0]), torch.tensor([True, False, True, True, False, False])
    outputs = step.model.embed(F.normalize(rows))
    losses = step(batch_of(rows, targets, speakers.repeat_interleave(2), same_session=same))
    distances = pair_distances(outputs.unflatten(0, (6, 2)), "rms")
    torch.testing.assert_close(losses["mmd"], session_mmd(distances, same, speakers, 0.1))
    torch.testing.assert_close(losses["cosine"], cosine_loss(outputs, targets))
    by_row = torch.tensor([0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 0, 0])
    torch.testing.assert_close(losses["softmax"], step.criteria["softmax"](outputs, by_row))


@pytest.mark.parametrize(
    ("terms", "kind"),
    [((("mse", 1.0),), "normal"), ((("triplet", 1.0), ("mse", 1.0)), "triplet"), ((("mmd", 1.0),), "distribution")],
)
def test_terms_decide_the_list(terms, kind) -> None:
    assert EnhancementConfig(terms=terms).list_kind == kind


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"terms": ()}, "terms must be different losses with positive weights"),
        ({"terms": (("mse", 1.0), ("mse", 2.0))}, "terms must be different losses"),
        ({"terms": (("mse", 0.0),)}, "with positive weights"),
        ({"terms": (("mmd", 1.0), ("triplet", 1.0))}, "triplet and mmd need different lists"),
        (
            {"terms": (("msse", 1.0),)},
            "terms must be of 'mse', 'mae', 'cosine', 'log_distance', 'softmax', 'triplet', 'mmd', got 'msse'",
        ),
        ({"mmd_sigma": 0.0}, "mmd_sigma must be positive, got 0.0"),
        ({"crops": -1}, "crops must not be negative, got -1"),
        ({"distance_floor": 0.0}, "distance_floor must be positive, got 0.0"),
        ({"target": "utterance"}, 'leave_one_out must be false with the target "utterance"'),
        (
            {"target": "utterance", "leave_one_out": False, "terms": (("triplet", 1.0),)},
            'triplet needs the target of another speaker, "B" or "C", got "utterance"',
        ),
    ],
)
def test_settings_out_of_range_are_named(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        EnhancementConfig(**arguments)


# --- A corpus of speakers and sessions, as drawn from two subspaces ---------------------------------------------------


def corpus(
    rng: np.random.Generator, bases: list[np.ndarray], num_speakers: int
) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Unit embeddings of 4 sessions of 5 utterances each, their speakers and sessions."""
    speakers = np.repeat(np.arange(num_speakers), 20)
    sessions = np.repeat(np.arange(num_speakers * 4), 5)
    parts = [
        rng.normal(size=(ids.max() + 1, len(basis)))[ids] @ basis for ids, basis in zip((speakers, sessions), bases)
    ]
    vectors = parts[0] + parts[1] + rng.normal(size=(len(speakers), bases[0].shape[1]))
    return F.normalize(torch.from_numpy(vectors).float()), speakers, sessions


def eer_across_sessions(vectors: torch.Tensor, speakers: np.ndarray, sessions: np.ndarray) -> float:
    unit = F.normalize(vectors).numpy()
    first, second = np.triu_indices(len(unit), 1)
    across = sessions[first] != sessions[second]
    scores = (unit @ unit.T)[first, second][across]
    return 100 * compute_eer(scores, (speakers[first] == speakers[second])[across])


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    # Scaled such that speakers and sessions have lengths comparable to the unit noise of each of 64 dimensions.
    bases = [rng.normal(0, 0.30, (24, 64)), rng.normal(0, 0.45, (12, 64))]
    return corpus(rng, bases, 400), corpus(rng, bases, 60)


def trained_eer(drawn, steps: int, terms, **model) -> float:
    (vectors, speakers, _), test = drawn
    sums = torch.zeros(400, 64).index_add(0, torch.from_numpy(speakers), vectors)
    targets = F.normalize(sums)[torch.from_numpy(speakers)]
    torch.manual_seed(0)
    step = EnhancementStep(
        EmbeddingInput(EmbeddingConfig()),
        EmbeddingMLP(EmbeddingMLPConfig(embedding_dim=64, **model)),
        EnhancementConfig(terms=terms),
        400,
    )
    optimizer = torch.optim.Adam(step.parameters(), lr=1e-3)
    for _ in range(steps):
        rows = torch.randint(len(vectors), (500,))
        optimizer.zero_grad()
        step(batch_of(vectors[rows], targets[rows], torch.from_numpy(speakers)[rows]))["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        return eer_across_sessions(step.eval().model.embed(test[0]), *test[1:])


@pytest.mark.parametrize(
    ("terms", "model"),
    [
        ((("mse", 1.0),), {**PUBLISHED["v2"], "activation": "elu"}),
        ((("cosine", 1.0),), {**PUBLISHED["v2"], "activation": "elu"}),
        ((("cosine", 1.0),), {}),  # our defaults: residual, linear output
    ],
    ids=["mse, published", "cosine, published", "cosine, ours"],
)
def test_enhancement_removes_sessions_from_a_drawn_corpus(terms, model, drawn) -> None:
    assert eer_across_sessions(*drawn[1]) > 10
    assert trained_eer(drawn, 100, terms, **model) < 3.0


def test_a_rectified_output_loses_half_of_every_vector(drawn) -> None:
    assert 5 < trained_eer(drawn, 100, (("mse", 1.0),), **PUBLISHED["v2"]) < eer_across_sessions(*drawn[1])
