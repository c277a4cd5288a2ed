"""Steps of several batches, rates for a size of batch, and a running mean of the weights."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from sv.train import checkpoint
from sv.train.accumulation import Accumulated
from sv.train.config import TrainConfig
from sv.train.distributed import World
from sv.train.loop import Run, Trainer, fit
from sv.train.steps.protocol import StepModule

CONFIG = TrainConfig(
    num_epochs=3, optimizer="sgd", momentum=0.0, schedule="constant", lr=0.1, log_interval=1, weight_decay=0.0,
    checkpoint_interval=1,
)  # fmt: skip


@dataclass(frozen=True)
class Batch:
    rows: torch.Tensor
    utterances: tuple

    def to(self, device):
        return self


def batch_of(number: int, size: int = 4) -> Batch:
    rows = torch.randn(size, 3, generator=torch.Generator().manual_seed(number))
    return Batch(rows, tuple(f"utt-{number}-{i}" for i in range(size)))


class Plan:
    """Batches of which the number tells epoch and place; what was read is noted."""

    def __init__(self, steps_per_epoch: int = 5):
        self.steps_per_epoch, self.read = steps_per_epoch, []

    def batches(self, epoch, first_step):
        for step in range(first_step, self.steps_per_epoch):
            self.read.append(100 * epoch + step)
            yield batch_of(100 * epoch + step)


class Step(StepModule):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Identity(), nn.Linear(3, 1))

    def forward(self, batch, epoch):
        return {"loss": (self.model(batch.rows) - batch.rows.sum(dim=1, keepdim=True)).square().mean()}


class Stop(Exception):
    pass


def run(folder, config, plan=None, stop_after=None):
    """Train in a folder, from its newest checkpoint on; the trainer."""
    trainer, run = Trainer(Step(), config, World()), Run(exp_dir=folder, identity={})
    step = trainer.train_step

    def train_step(*arguments):
        if trainer.step == stop_after:
            raise Stop
        return step(*arguments)

    trainer.train_step = train_step
    evaluate = lambda model: {"eer": float(model.weight.detach().sub(1).abs().sum())}  # noqa: E731
    fit(trainer, plan or Plan(), evaluate, run, checkpoint.load_newest(run.checkpoints))
    return trainer


def test_a_step_of_two_batches_is_a_step_of_the_batch_of_both() -> None:
    apart, together = Trainer(Step(), CONFIG, World()), Trainer(Step(), CONFIG, World())
    both = Batch(torch.cat([batch_of(1).rows, batch_of(2).rows]), ())
    losses, norm = apart.train_step((batch_of(1), batch_of(2)), 0.1)
    expected, expected_norm = together.train_step(both, 0.1)
    torch.testing.assert_close(losses["loss"], expected["loss"])
    torch.testing.assert_close(norm, expected_norm)
    torch.testing.assert_close(apart.module.model.weight, together.module.model.weight)
    assert apart.step == 1


def test_steps_take_their_batches_in_order_and_leave_the_rest() -> None:
    plan = Plan(5)
    steps = Accumulated(plan, 2)
    assert steps.steps_per_epoch == 2
    assert [[batch.utterances[0] for batch in step] for step in steps.steps(1, 0)] == [
        ["utt-100-0", "utt-101-0"], ["utt-102-0", "utt-103-0"],
    ]  # fmt: skip
    assert [batch.utterances[0] for batch in next(iter(steps.steps(1, 1)))] == ["utt-102-0", "utt-103-0"]
    with pytest.raises(ValueError, match=r"\[train\] accumulate is 6, but an epoch has only 5 batches; lower it"):
        Accumulated(plan, 6)


@pytest.mark.parametrize("options", [{"accumulate": 2}, {"ema": 0.5}, {"accumulate": 2, "ema": 0.5, "lr_batch": 16}])
def test_a_run_cut_off_and_resumed_ends_like_an_undisturbed_one(options, tmp_path) -> None:
    config = replace(CONFIG, **options)
    run(tmp_path / "whole", config)
    with pytest.raises(Stop):
        run(tmp_path / "cut", config, stop_after=3)
    plan = Plan()
    run(tmp_path / "cut", config, plan)
    assert plan.read[0] == (102 if "accumulate" in options else 3)  # the first batch of step 3, counted from 0
    for name in ("best.pt", "last.pt"):
        whole, cut = (tmp_path / folder / "checkpoints" / name for folder in ("whole", "cut"))
        assert whole.read_bytes() == cut.read_bytes()


def test_the_running_mean_is_what_is_kept(tmp_path) -> None:
    trainer = Trainer(Step(), replace(CONFIG, ema=0.75), World())
    start = trainer.module.model.weight.detach().clone()
    trainer.train_step(batch_of(1), 0.1)
    first = trainer.module.model.weight.detach().clone()
    torch.testing.assert_close(trainer.result().weight, first)  # it begins with the first step, not with the start
    trainer.train_step(batch_of(2), 0.1)
    second = trainer.module.model.weight.detach()
    torch.testing.assert_close(trainer.result().weight, 0.75 * first + 0.25 * second)
    assert not torch.equal(start, first)
    run(tmp_path, replace(CONFIG, ema=0.75))
    kept = checkpoint.load_weights(tmp_path / "checkpoints/best.pt")["model"]
    last = checkpoint.load(tmp_path / "checkpoints/last.pt")
    torch.testing.assert_close(kept["weight"], last["mean"]["module.model.weight"])
    assert not torch.equal(kept["weight"], last["system"]["model.weight"])


@pytest.mark.parametrize(("accumulate", "lr_batch", "factor"), [(1, 0, 1), (1, 8, 0.5), (2, 8, 1), (2, 2, 4)])
def test_the_rate_is_for_a_size_of_step(accumulate, lr_batch, factor, tmp_path) -> None:
    trainer = run(tmp_path, replace(CONFIG, num_epochs=1, accumulate=accumulate, lr_batch=lr_batch))
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * factor)


@pytest.mark.parametrize(("key", "value", "said"), [
    ("accumulate", 0, "accumulate must be at least 1"), ("lr_batch", -1, "lr_batch must not be negative"),
    ("ema", 1.0, r"ema must be in \[0, 1\)"), ("ema", -0.1, r"ema must be in \[0, 1\)"),
])  # fmt: skip
def test_values_out_of_range(key, value, said) -> None:
    with pytest.raises(ValueError, match=said):
        TrainConfig(**{key: value})


def test_checkpoints_of_a_training_without_them_have_what_they_had() -> None:
    state = Trainer(Step(), CONFIG, World()).state({})
    assert set(state) == {"system", "optimizer", "scaler", "step", "best_eer", "best", "rng", "identity"}
