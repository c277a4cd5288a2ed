"""The step of diffusion on embeddings: its loss by hand, at both lengths; what it and vMF-PL make of noisy copies."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sv.enhancement.batches import EmbeddingBatch
from sv.features.embedding import EmbeddingConfig, EmbeddingInput
from sv.models.embedding_diffusion import EmbeddingDiffusion, EmbeddingDiffusionConfig
from sv.models.embedding_mlp import EmbeddingMLP, EmbeddingMLPConfig
from sv.scoring import compute_eer
from sv.train.steps.embedding_diffusion import EmbeddingDiffusionLossConfig, EmbeddingDiffusionStep
from sv.train.steps.enhancement import EnhancementConfig, EnhancementStep

DIM = 6


def step_of(normalise: bool = True, dim: int = DIM, **model) -> EmbeddingDiffusionStep:
    torch.manual_seed(0)
    network = EmbeddingDiffusion(EmbeddingDiffusionConfig(embedding_dim=dim, **model))
    frontend = EmbeddingInput(EmbeddingConfig(normalise=normalise))
    return EmbeddingDiffusionStep(frontend, network, EmbeddingDiffusionLossConfig(noisy_copies=1), 3)


def batch_of(noisy: Tensor, clean: Tensor) -> EmbeddingBatch:
    return EmbeddingBatch(embeddings=noisy, targets=clean, speaker_ids=torch.zeros(len(noisy)).long(), utterances=())


@pytest.mark.parametrize("normalise", [True, False])
def test_the_loss_by_hand(normalise: bool) -> None:
    """Noise on the noisy embedding, the clean one as the target, both at length sqrt(6) or as they are."""
    step = step_of(normalise)
    for parameter in step.parameters():
        torch.nn.init.normal_(parameter)
    noisy, clean = 5 * torch.randn(4, DIM), 7 * torch.randn(4, DIM)
    torch.manual_seed(3)
    loss = step(batch_of(noisy, clean))["loss"]
    torch.manual_seed(3)
    steps, noise = torch.randint(1000, (4,)), torch.randn(4, DIM)
    if normalise:
        noisy, clean = (6**0.5 * rows / rows.norm(dim=1, keepdim=True) for rows in (noisy, clean))
    share = torch.linspace(1e-4**0.5, 0.02**0.5, 1000).square().neg().add(1).cumprod(0)[steps][:, None]
    estimate = step.model.estimate(share.sqrt() * noisy + (1 - share).sqrt() * noise, steps)
    torch.testing.assert_close(loss, (estimate - clean).abs().mean())


@pytest.mark.parametrize("options", [{"noisy_copies": -1}, {"crops": -1}])
def test_settings_out_of_range_are_named(options: dict) -> None:
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        EmbeddingDiffusionLossConfig(**options)


def test_every_row_draws_a_step_of_its_own_up_to_the_last() -> None:
    step, seen = step_of(diffusion_steps=60), []
    estimate = step.model.estimate
    step.model.estimate = lambda state, steps: seen.append(steps) or estimate(state, steps)
    step(batch_of(torch.randn(2000, DIM), torch.randn(2000, DIM)))
    assert seen[0].unique().tolist() == list(range(60))


def eer_across(first: Tensor, second: Tensor, speakers: np.ndarray) -> float:
    scores = (F.normalize(first) @ F.normalize(second).T).numpy()
    off = ~np.eye(len(speakers), dtype=bool)
    return 100 * compute_eer(scores[off], (speakers[:, None] == speakers)[off])


def vmf_pl_step(dim: int) -> EnhancementStep:
    torch.manual_seed(0)
    model = EmbeddingMLP(EmbeddingMLPConfig(embedding_dim=dim, hidden=(2, 2), normalise_output=True))
    config = EnhancementConfig(terms=(("log_distance", 1.0),), target="utterance", leave_one_out=False, noisy_copies=1)
    return EnhancementStep(EmbeddingInput(EmbeddingConfig()), model, config, 3)


@pytest.mark.parametrize("make", [step_of, vmf_pl_step], ids=["SEED", "vMF-PL"])
def test_noisy_copies_come_closer_to_clean_embeddings_without_a_label(make: Callable) -> None:
    """Clean embeddings in 8 of 32 dimensions; noise in 12 others and a little everywhere."""
    rng = np.random.default_rng(0)
    voices, noises = rng.normal(0, 1.0, (8, 32)), rng.normal(0, 1.2, (12, 32))

    def drawn(num_speakers: int) -> tuple[Tensor, Tensor, np.ndarray]:
        speakers = np.repeat(np.arange(num_speakers), 4)
        clean = (rng.normal(size=(num_speakers, 8))[speakers] + 0.3 * rng.normal(size=(len(speakers), 8))) @ voices
        noisy = clean + rng.normal(size=(len(speakers), 12)) @ noises + 0.3 * rng.normal(size=clean.shape)
        return torch.from_numpy(clean).float(), torch.from_numpy(noisy).float(), speakers

    clean, noisy, _ = drawn(300)
    step = make(dim=32)
    optimizer = torch.optim.AdamW(step.parameters(), lr=4e-3)
    for _ in range(80):
        rows = torch.randint(len(clean), (128,))
        optimizer.zero_grad()
        step(batch_of(noisy[rows], clean[rows]))["loss"].backward()
        optimizer.step()
    test_clean, test_noisy, speakers = drawn(40)
    model, read = step.eval().model, step.frontend
    with torch.no_grad():
        before = eer_across(test_clean, test_noisy, speakers)
        after = eer_across(model.embed(read(test_clean)), model.embed(read(test_noisy)), speakers)
        closer = F.cosine_similarity(model.embed(read(test_noisy)), test_clean).mean()
    assert closer > F.cosine_similarity(test_noisy, test_clean).mean() + 0.1
    assert after < 0.6 * before
