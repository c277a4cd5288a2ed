"""The joint loss of Diff-SV: its terms by hand, and which part each of them reaches."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.data.dataset import Batch
from sv.losses import AAMSoftmax, AAMSoftmaxConfig
from sv.models.diff_sv import DiffSV, DiffSVConfig
from sv.models.diffusion import diffusion_loss
from sv.train.config import TrainConfig
from sv.train.distributed import World
from sv.train.loop import Trainer
from sv.train.steps import STEPS
from sv.train.steps.diff_sv import DiffSVLossConfig, DiffSVStep

LIGHT = DiffSVConfig(
    num_mel_bins=16, channels=(8, 8, 8, 8), blocks=(1, 1, 1, 1), embedding_dim=6, enhancer_layers=1, enhancer_channels=12,
    score_channels=8, dropout=0.0,
)  # fmt: skip


class Frontend(nn.Module):
    def forward(self, waveforms: Tensor) -> Tensor:
        return waveforms.unflatten(1, (16, -1))


@pytest.fixture
def batch(batch_of) -> Batch:
    generator = torch.Generator().manual_seed(0)
    references, noise = torch.randn(2, 4, 16 * 12, generator=generator)
    return batch_of(references + 0.3 * noise, torch.tensor([1, 0, 1, 0]), references)


def step_of(**config) -> DiffSVStep:
    torch.manual_seed(1)
    step = DiffSVStep(Frontend(), DiffSV(LIGHT), DiffSVLossConfig(**config), num_speakers=3)
    for name, parameter in step.named_parameters():
        if name.endswith(".g"):
            nn.init.constant_(parameter, 0.05)  # at 0 its attention would learn nothing in the first step
    return step


def gradients_of(step: DiffSVStep, loss: Tensor) -> dict[str, float]:
    """Largest gradient of each part."""
    step.zero_grad()
    loss.backward()
    parts = {"enhancer": "model.enhancer.", "score": "model.denoiser.", "criterion": "criterion."}
    largest = {}
    for name, parameter in step.named_parameters():
        part = next((part for part, prefix in parts.items() if name.startswith(prefix)), "extractor")
        value = 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
        largest[part] = max(value, largest.get(part, 0.0))
    return largest


@pytest.mark.parametrize("solver", ["euler", "exponential"])
def test_terms_by_hand(solver, batch) -> None:
    step = step_of(speaker=2.0, feature_mse=3.0, diffusion=0.5, num_steps=4, solver=solver)
    torch.manual_seed(7)
    losses = step(batch)
    features, clean = step.frontend(batch.waveforms), step.frontend(batch.references)
    torch.manual_seed(7)
    start_noise, times, noise = torch.randn(4, 16, 12), torch.rand(4), torch.randn(4, 16, 12)
    prior = step.model.enhancer(features)
    embeddings = step.model.extract(features, prior, step.model.denoise(prior, start_noise, 4, solver))
    criterion = AAMSoftmax(6, 3, AAMSoftmaxConfig(scale=30.0))
    criterion.load_state_dict(step.criterion.state_dict())
    torch.testing.assert_close(losses["speaker"], criterion(embeddings, batch.speaker_ids, 0.2))
    torch.testing.assert_close(losses["feature_mse"], F.mse_loss(prior, clean))
    torch.testing.assert_close(losses["diffusion"], diffusion_loss(step.model.score, clean, prior, times, noise))
    total = 2 * losses["speaker"] + 3 * losses["feature_mse"] + 0.5 * losses["diffusion"]
    torch.testing.assert_close(losses["loss"], total)


def test_every_loss_reaches_its_parts_and_no_other(batch) -> None:
    step = step_of()
    reached = {
        name: {part for part, value in gradients_of(step, step(batch)[name]).items() if value > 0}
        for name in ("speaker", "feature_mse", "diffusion")
    }
    assert reached == {
        "speaker": {"extractor", "enhancer", "criterion"},
        "feature_mse": {"enhancer"},
        "diffusion": {"score", "enhancer"},
    }


def test_every_parameter_gets_a_gradient(batch) -> None:
    step = step_of()
    step(batch)["loss"].backward()
    assert [name for name, parameter in step.named_parameters() if parameter.grad is None] == []


def test_draws_follow_torchs_generator(batch) -> None:
    step, found = step_of(), []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(step.eval()(batch)["loss"].item())
    assert found[0] == found[1] != found[2]


def test_a_few_updates_lower_the_losses(batch) -> None:
    step = step_of(num_steps=2)
    optimizer = torch.optim.Adam(step.parameters(), lr=1e-2)
    history = []
    for number in range(60):
        torch.manual_seed(number)
        losses = step(batch)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    for name in ("speaker", "diffusion"):
        early, late = (sum(entry[name] for entry in part) for part in (history[:10], history[-10:]))
        assert late < 0.97 * early, name


def test_classifier_starts_xavier_normal() -> None:
    torch.manual_seed(0)
    weight = DiffSVStep(Frontend(), DiffSV(LIGHT), DiffSVLossConfig(), num_speakers=4_000).criterion.weight
    assert weight.std().item() == pytest.approx((2 / 4_006) ** 0.5, rel=0.05)


def test_it_is_registered_with_the_published_weights() -> None:
    config, module = STEPS["diff_sv"]
    assert module is DiffSVStep
    published = config()
    assert (published.speaker, published.feature_mse, published.diffusion) == (1.0, 1.0, 1.0)
    assert (published.margin, published.scale, published.num_steps) == (0.2, 30.0, 10)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"diffusion": 0.0},
            "speaker, feature_mse and diffusion must be positive: each part of Diff-SV has its own loss",
        ),
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
    ],
)
def test_config_names_what_is_wrong(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiffSVLossConfig(**values)


def test_training_resumes_exactly(tmp_path) -> None:
    config = TrainConfig(lr=1e-3)
    generator = torch.Generator().manual_seed(5)
    batches = [
        Batch(
            waveforms=torch.randn(4, 16 * 12, generator=generator),
            references=torch.randn(4, 16 * 12, generator=generator),
            speaker_ids=torch.tensor([0, 1, 2, 0]),
            utterances=("a", "b", "c", "d"),
        )
        for _ in range(4)
    ]
    world = World(rank=0, size=1, device=torch.device("cpu"))

    def trainer() -> Trainer:
        step = step_of(num_steps=2)
        step.model.enhancer.spectral[2].p = 0.1  # dropout draws too
        return Trainer(step.train(), config, world, seed=3)

    whole = trainer()
    for batch in batches:
        whole.train_step(batch, 1e-3)
    begun, resumed = trainer(), trainer()
    for batch in batches[:2]:
        begun.train_step(batch, 1e-3)
    torch.save(begun.state({}), tmp_path / "state.pt")
    torch.rand(17)  # what else a process draws does not matter
    resumed.restore(torch.load(tmp_path / "state.pt", weights_only=False))
    for batch in batches[2:]:
        resumed.train_step(batch, 1e-3)
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name]), name


@pytest.mark.parametrize(("tail", "logit"), [("continuous", -1.0199334), ("published", -1.0397339), ("easy", -1.0)])
def test_the_tail_of_its_margin_can_be_chosen(tail, logit) -> None:
    """Logit of a target opposite to its class vector: -1 - (1 - cos 0.2), -1 - 0.2 sin 0.2, or -1."""
    shifted = step_of(tail=tail).criterion.shifted(torch.tensor([-1.0]), 0.2)
    assert shifted.item() == pytest.approx(logit, abs=1e-6)
    with pytest.raises(ValueError, match="tail must be continuous, published or easy, got 'hard'"):
        DiffSVLossConfig(tail="hard")
