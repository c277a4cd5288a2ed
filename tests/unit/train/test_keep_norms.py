"""Batch norms that keep the statistics they start with, in training whose other weights move."""

from dataclasses import dataclass

import torch
from torch import nn

from sv.train import checkpoint
from sv.train.config import TrainConfig
from sv.train.distributed import World
from sv.train.loop import Run, Trainer, fit
from sv.train.steps.protocol import StepModule


@dataclass(frozen=True)
class Batch:
    rows: torch.Tensor
    utterances: tuple

    def to(self, device):
        return self


class Plan:
    steps_per_epoch = 3

    def batches(self, epoch, first_step):
        for step in range(first_step, self.steps_per_epoch):
            rows = 5 + torch.randn(16, 3, generator=torch.Generator().manual_seed(10 * epoch + step))
            yield Batch(rows, tuple("abcdefghijklmnop"))


class Step(StepModule):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Identity(), nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)))

    def forward(self, batch, epoch):
        assert self.model.training and self.model[2].training
        return {"loss": self.model(batch.rows).square().mean()}


def trained(folder, keep_norms: bool) -> dict[str, torch.Tensor]:
    config = TrainConfig(num_epochs=2, optimizer="sgd", schedule="constant", lr=1e-3, keep_norms=keep_norms)
    trainer, run = Trainer(Step(), config, World()), Run(exp_dir=folder, identity={})
    fit(trainer, Plan(), lambda model: {"eer": 1.0}, run, None)
    return checkpoint.load_weights(folder / "checkpoints" / "best.pt")["model"]


def test_statistics_stay_and_gains_move(tmp_path) -> None:
    start = Step().model.state_dict()
    kept, others = trained(tmp_path / "kept", True), trained(tmp_path / "others", False)
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        torch.testing.assert_close(kept[name], start[name], rtol=0, atol=0)
        assert not torch.equal(others[name], start[name])
    assert not torch.equal(kept["1.weight"], start["1.weight"]) and not torch.equal(kept["0.weight"], start["0.weight"])
