"""Run by torchrun: three steps of four batches in all, and a running mean of the weights. ddp_accumulation.py OUT"""

import sys
from dataclasses import dataclass

import torch
from torch import nn

from sv.train import distributed
from sv.train.config import TrainConfig
from sv.train.loop import Trainer
from sv.train.steps.protocol import StepModule


@dataclass(frozen=True)
class Batch:
    """Rows of numbers, the same for their number."""

    number: int
    utterances: tuple = ()

    def to(self, device):
        """The batch itself."""
        return self

    @property
    def rows(self):
        """(4, 3) numbers."""
        return torch.randn(4, 3, generator=torch.Generator().manual_seed(self.number))


class Step(StepModule):
    """Regression of the rows' sums."""

    def __init__(self):
        super().__init__(nn.Identity(), nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)))

    def forward(self, batch, epoch=0.0):
        """Mean squared error."""
        return {"loss": (self.model(batch.rows) - batch.rows.sum(dim=1, keepdim=True)).square().mean()}


world = distributed.start()
torch.manual_seed(0)
own = 4 // world.size
config = TrainConfig(accumulate=own, ema=0.5, optimizer="sgd", momentum=0.9, lr=0.1, max_grad_norm=0.5)
trainer = Trainer(Step(), config, world, seed=0)
for number in range(3):
    first = 4 * number + own * world.rank
    trainer.train_step(tuple(Batch(first + i) for i in range(own)), 0.1)
weights, mean = trainer.module.model.state_dict(), trainer.result().state_dict()
torch.save(weights | {f"mean.{name}": value for name, value in mean.items()}, f"{sys.argv[1]}.{world.rank}")
distributed.stop()
