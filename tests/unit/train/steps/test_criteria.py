"""Cost of a new loss: its module and one line in LOSSES; no step is touched."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from sv.base.config import require
from sv.losses import LOSSES, ClassifierLoss, MetricLoss
from sv.system.config import parse_system
from sv.train.steps import STEPS, loss_record, waveform_step
from sv.train.steps.criteria import names_of
from sv.train.steps.pairs import PairLossConfig, PairStep

WAVES = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
SPEAKERS = torch.tensor([1, 0, 1, 0])


@dataclass(frozen=True, kw_only=True)
class SharpConfig:
    scale: float = 64.0  # another default than the margin softmax losses'
    power: float = 2.0

    def __post_init__(self) -> None:
        require(self, positive=("scale", "power"))


class Sharp(ClassifierLoss):
    def __init__(self, dim: int, num_speakers: int, config: SharpConfig) -> None:
        super().__init__(dim, num_speakers, config)
        self.weight = nn.Parameter(torch.randn(num_speakers, dim))

    def forward(self, embeddings: Tensor, speaker_ids: Tensor, margin: float = 0.0) -> Tensor:
        return self.config.power * (embeddings @ self.weight.T)[:, 0].mean() + self.config.scale * margin


@dataclass(frozen=True, kw_only=True)
class SpreadConfig:
    slope: float = 3.0


class Spread(MetricLoss):
    def of_groups(self, embeddings: Tensor, draws: Tensor | None = None) -> Tensor:
        return self.config.slope * embeddings.var(dim=1).mean()


@pytest.fixture
def losses(monkeypatch):
    monkeypatch.setitem(LOSSES, "sharp", (SharpConfig, Sharp))
    monkeypatch.setitem(LOSSES, "spread", (SpreadConfig, Spread))


def parsed(loss: dict, batches: str):
    sections = {"features": {"type": "log_mel"}, "model": {"type": "exu_net"}, "batches": {"type": batches}}
    return parse_system({**sections, "loss": loss}, "x.toml").loss


def test_a_new_classifier_is_a_criterion_with_its_own_options_and_defaults(losses, tiny, batch_of) -> None:
    config = parsed({"type": "classification", "criterion": "sharp", "power": 5.0, "margin": 0.5}, "shuffled")
    assert (config.scale, config.power, config.tail) == (64.0, 5.0, "continuous")
    step = STEPS["classification"][1](*tiny, config, 2)
    assert step.criterion.config == SharpConfig(scale=64.0, power=5.0)
    first = step.model.embed(step.frontend(WAVES)) @ step.criterion.weight[0]
    torch.testing.assert_close(step(batch_of(WAVES, SPEAKERS))["loss"], 5 * first.mean() + 32)
    with pytest.raises(ValueError, match=r"x.toml: \[loss\] power must be positive, got 0"):
        parsed({"type": "classification", "criterion": "sharp", "power": 0.0}, "shuffled")


def test_a_new_metric_loss_is_a_criterion(losses, tiny, batch_of) -> None:
    config = parsed({"type": "metric", "criterion": "spread", "slope": 2.0, "softmax": 0.5}, "speakers")
    step = STEPS["metric"][1](*tiny, config, 2)
    batch = batch_of(WAVES, torch.tensor([1, 1, 0, 0]))
    expected = 2 * step.model.embed(step.frontend(WAVES)).unflatten(0, (2, 2)).var(dim=1).mean()
    torch.testing.assert_close(step(batch)["metric"], expected)


def test_a_new_classifier_serves_pairs_with_the_options_that_pairs_have(losses, tiny) -> None:
    step = PairStep(*tiny, PairLossConfig(speaker_type="sharp", scale=7.0), 2)
    assert step.criteria["speaker"].config == SharpConfig(scale=7.0, power=2.0)


def test_known_losses_keep_the_record_of_their_step() -> None:
    for kind in ("classification", "metric"):
        record = STEPS[kind][0]
        names = [name for name in names_of(record.kind) if name != "norm_softmax"]
        assert all(loss_record(kind, {"criterion": name}) is record for name in names)


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_loss_has_a_config_of_defaults(name) -> None:
    config, loss = LOSSES[name]
    sizes = (6, 5) if issubclass(loss, ClassifierLoss) or name == "centre" else ()
    assert loss(*sizes, config()).config == config()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("linear", r'x.toml: loss.type = "linear" is fitted in closed form by sv.bin.train_enhancement'),
        ("enhancement", r'x.toml: loss.type = "enhancement" reads embeddings; train it with sv.bin.train_enhancement'),
    ],
)
def test_losses_of_embeddings_are_not_trained_on_waveforms(loss, message) -> None:
    with pytest.raises(ValueError, match=message):
        waveform_step(loss, "x.toml")
    assert waveform_step("pairs", "x.toml") is PairStep
