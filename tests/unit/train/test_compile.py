import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from sv.models import MODELS
from sv.train import loop
from sv.train.config import TrainConfig
from sv.train.distributed import World
from sv.train.loop import Trainer, compile_parts
from sv.train.steps.protocol import StepModule


class Step(StepModule):
    def __init__(self) -> None:
        torch.manual_seed(0)
        config, model = MODELS["se_resnet"]
        small = config(num_mel_bins=16, embedding_dim=12, channels=(4, 4, 8, 8), blocks=(1, 1, 1, 1))
        super().__init__(nn.Identity(), model(small), small)

    def forward(self, batch: "Batch", epoch: float = 0.0) -> dict[str, Tensor]:
        return {"loss": self.model.embed(batch.features).square().mean()}


class Batch:
    def __init__(self) -> None:
        self.features, self.utterances = torch.randn(4, 16, 24, generator=torch.Generator().manual_seed(0)), ["a"]

    def to(self, device: torch.device) -> "Batch":
        return self


@pytest.mark.parametrize("keep_norms", [False, True])
def test_a_compiled_network_trains_as_the_network(monkeypatch, keep_norms: bool) -> None:
    monkeypatch.setattr(loop, "COMPILER", "aot_eager")  # which needs no C++ compiler
    torch.compiler.reset()
    config = TrainConfig(optimizer="sgd", lr=0.1, keep_norms=keep_norms)
    weights, compiled_modules = [], []
    for compiled in (False, True):
        step = Step()
        trainer = Trainer(step, replace(config, compile=compiled), World())
        trainer.set_training()
        for _ in range(2):
            trainer.train_step(Batch(), 0.1)
        compiled_modules.append([part for part in step.modules() if part._compiled_call_impl is not None])
        weights.append(torch.cat([value.flatten() for value in step.state_dict().values()]))
        assert not [part for part in copy.deepcopy(trainer.result()).modules() if part._compiled_call_impl is not None]
    assert not compiled_modules[0] and len(compiled_modules[1]) > 4
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-6)
    assert list(step.state_dict()) == list(Step().state_dict())  # checkpoints are those of any other run


def test_what_is_never_called_is_not_compiled() -> None:
    network = nn.Module()
    network.blocks = nn.ModuleList([nn.Sequential(nn.Linear(2, 2)), nn.ReLU()])
    compile_parts(network)
    assert network.blocks._compiled_call_impl is None
    assert all(block._compiled_call_impl is not None for block in network.blocks)
    assert network.blocks[0][0]._compiled_call_impl is None  # a part of what is compiled
