import json
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from sv.train import checkpoint
from sv.train.config import TrainConfig
from sv.train.distributed import World
from sv.train.loop import NonFiniteError, Run, Trainer, fit, make_optimizer
from sv.train.steps.protocol import StepModule

CONFIG = TrainConfig(num_epochs=3, schedule="constant", lr=0.1, log_interval=1, weight_decay=0.0, checkpoint_interval=2)


@dataclass(frozen=True)
class Batch:
    """Batch with the fields that the loop itself needs, and one that only the step knows."""

    rows: torch.Tensor
    utterances: tuple

    def to(self, device):
        return self


class Plan:
    steps_per_epoch = 5

    def __init__(self, poisoned=None):
        self.poisoned = poisoned

    def batches(self, epoch, first_step):
        for step in range(first_step, 5):
            generator = torch.Generator().manual_seed(100 * epoch + step)
            x = torch.randn(4, 3, generator=generator)
            if self.poisoned == (epoch, step):
                x[0, 0] = float("nan")
            yield Batch(x, tuple(f"utt-{epoch}-{step}-{i}" for i in range(4)))


class Step(StepModule):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Identity(), nn.Linear(3, 1))

    def forward(self, batch, epoch):
        return {"loss": (self.model(batch.rows) - batch.rows.sum(dim=1, keepdim=True)).square().mean()}


def evaluate(model):
    return {"eer": float(model.weight.detach().sub(1).abs().sum())}


def train(tmp_path, plan=None, config=CONFIG):
    trainer, run = Trainer(Step(), config, World()), Run(exp_dir=tmp_path, identity={})
    fit(trainer, plan or Plan(), evaluate, run, checkpoint.load_newest(run.checkpoints))
    return trainer


def journal(tmp_path):
    return [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]


class Killed(Exception):
    pass


class Cut(Plan):
    def batches(self, epoch, first_step):
        for step, batch in enumerate(super().batches(epoch, first_step), start=first_step):
            if (epoch, step) == (1, 4):
                raise Killed
            yield batch


def test_a_run_cut_off_and_resumed_ends_like_an_undisturbed_one(tmp_path):
    train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "cut", Cut())
    assert (tmp_path / "cut/checkpoints/last.pt").resolve().name == "step-0000008.pt"
    train(tmp_path / "cut")
    for name in ("step-0000015.pt", "best.pt"):
        whole, cut = (tmp_path / run / "checkpoints" / name for run in ("whole", "cut"))
        assert whole.read_bytes() == cut.read_bytes()
    timeless = [
        [{k: v for k, v in line.items() if k != "utterances_per_second"} for line in journal(tmp_path / run)]
        for run in ("whole", "cut")
    ]
    assert timeless[0] == timeless[1]
    steps = [line["step"] for line in timeless[0] if "loss" in line]
    assert steps == list(range(1, 16))


def test_best_is_the_epoch_of_the_lowest_eer(tmp_path):
    train(tmp_path)
    eers = [line["valid_eer"] for line in journal(tmp_path) if "valid_eer" in line]
    best = torch.load(tmp_path / "checkpoints/best.pt", weights_only=True)
    assert best["valid_eer"] == min(eers)
    assert best["step"] == 5 * (1 + eers.index(min(eers)))


def test_of_equal_epochs_the_last_is_best(tmp_path):
    run, trainer = Run(exp_dir=tmp_path, identity={}), Trainer(Step(), CONFIG, World())
    fit(trainer, Plan(), lambda model: {"eer": 3.0}, run, None)
    assert torch.load(tmp_path / "checkpoints/best.pt", weights_only=True)["step"] == 15


def test_the_mean_of_the_last_epochs_is_best_if_asked(tmp_path):
    averaged = replace(CONFIG, average_epochs=2)
    train(tmp_path / "whole", config=averaged)
    train(tmp_path / "plain")
    folder = tmp_path / "whole/checkpoints"
    before, after = (torch.load(folder / f"epoch-000{n}.pt", weights_only=True)["model"] for n in (1, 2))
    best = torch.load(folder / "best.pt", weights_only=True)
    torch.testing.assert_close(best["model"]["weight"], (before["weight"] + after["weight"]) / 2)
    assert not torch.equal(before["weight"], after["weight"])
    assert best["valid_eer"] == pytest.approx(float((best["model"]["weight"] - 1).abs().sum()))
    steps = [torch.load(tmp_path / run / "checkpoints/last.pt", weights_only=False) for run in ("whole", "plain")]
    torch.testing.assert_close(steps[0]["system"], steps[1]["system"], rtol=0, atol=0)  # averaging changes no training
    with pytest.raises(Killed):
        train(tmp_path / "cut", Cut(), averaged)
    train(tmp_path / "cut", config=averaged)
    assert (tmp_path / "cut/checkpoints/best.pt").read_bytes() == (folder / "best.pt").read_bytes()
    with pytest.raises(ValueError, match=r"epoch-0000\.pt: not there to be averaged"):
        train(tmp_path / "whole", config=replace(CONFIG, average_epochs=3))


def test_a_mean_keeps_the_last_count_of_batches(tmp_path):
    paths = [tmp_path / name for name in ("a.pt", "b.pt")]
    for path, value in zip(paths, (1.0, 2.0)):
        norm = nn.BatchNorm1d(1)
        norm.running_mean.fill_(value)
        norm.num_batches_tracked.fill_(int(10 * value))
        checkpoint.save(path, {"model": norm.state_dict()})
    mean = checkpoint.mean_weights(paths)
    assert (mean["running_mean"].item(), mean["num_batches_tracked"].item()) == (1.5, 20)


def test_a_finished_run_does_nothing_more(tmp_path):
    train(tmp_path)
    before = (tmp_path / "checkpoints/step-0000015.pt").read_bytes()
    train(tmp_path)
    assert (tmp_path / "checkpoints/step-0000015.pt").read_bytes() == before


def test_more_epochs_continue_a_finished_run(tmp_path):
    train(tmp_path / "a")
    longer = replace(CONFIG, num_epochs=4)
    train(tmp_path / "a", config=longer)
    train(tmp_path / "b", config=longer)
    a, b = (torch.load(tmp_path / run / "checkpoints/last.pt", weights_only=False) for run in "ab")
    torch.testing.assert_close(a["system"], b["system"], rtol=0, atol=0)


def test_a_nan_stops_before_the_update_and_names_the_batch(tmp_path):
    with pytest.raises(
        NonFiniteError, match=r"step 6: the loss is not finite \(rank 0, utterances utt-1-1-0 utt-1-1-1"
    ):
        train(tmp_path, Plan(poisoned=(1, 1)))
    state = checkpoint.load_newest(tmp_path / "checkpoints")
    assert all(torch.isfinite(value).all() for value in state["system"].values())


def test_clipping_bounds_the_update():
    config = replace(CONFIG, max_grad_norm=1e-3)
    trainer = Trainer(Step(), config, World())
    _, norm = trainer.train_step(next(iter(Plan().batches(0, 0))), lr=0.1)
    clipped = torch.nn.utils.get_total_norm([p.grad for p in trainer.module.parameters()])
    assert norm > 1e-3
    assert clipped == pytest.approx(1e-3, rel=1e-3)


class Noisy(Step):
    def forward(self, batch, epoch):
        self.seen = getattr(self, "seen", [])
        self.seen.append((round(epoch, 3), float(torch.rand(()))))
        return super().forward(batch, epoch)

    def parameter_groups(self, decayed):
        return [{"params": [self.model.weight], "lr_scale": 0.0}, {"params": [self.model.bias]}]

    def after_backward(self):
        self.model.bias.grad.zero_().add_(1.0)


def test_what_a_step_draws_depends_on_its_number_alone():
    batch = next(iter(Plan().batches(0, 0)))
    one, two = Noisy(), Noisy()
    first, second = (Trainer(step, CONFIG, World(), seed=4) for step in (one, two))
    first.train_step(batch, 0.1, 0.0)
    first.train_step(batch, 0.1, 0.2)
    second.step = 1
    torch.rand(7)
    second.train_step(batch, 0.1, 0.2)
    assert one.seen[1] == two.seen[0]
    assert one.seen[0][1] != one.seen[1][1]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_step_can_scale_rates_and_gradients(optimizer):
    step = Noisy()
    weight, bias = step.model.weight.clone(), step.model.bias.clone()
    config = replace(CONFIG, optimizer=optimizer, momentum=0.0)
    Trainer(step, config, World()).train_step(next(iter(Plan().batches(0, 0))), 0.1)
    torch.testing.assert_close(step.model.weight, weight)
    torch.testing.assert_close(step.model.bias, bias - 0.1)


def test_fp16_needs_a_gpu():
    with pytest.raises(ValueError, match="precision 'fp16' needs a GPU; use bf16, float32 or auto here"):
        Trainer(Step(), replace(CONFIG, precision="fp16"), World())


class Observed(Step):
    def __init__(self):
        super().__init__()
        self.frontend, self.formats = Doubling(), []

    def forward(self, batch, epoch):
        read = self.read(batch.rows)
        outputs = self.model(read)
        self.formats += [read.dtype, outputs.dtype]
        return {"loss": (outputs.float() - read.sum(dim=1, keepdim=True)).square().mean()}


class Doubling(nn.Module):
    def forward(self, rows):
        return rows @ (2 * torch.eye(3))


@pytest.mark.parametrize(("has", "expected"), [({"avx512_bf16": True}, torch.bfloat16), ({}, torch.float32)])
def test_auto_trains_in_bf16_where_the_processor_can(monkeypatch, capsys, has, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    step = Observed()
    trainer = Trainer(step, replace(CONFIG, precision="auto"), World())
    assert capsys.readouterr().err.count("INFO precision auto: ") == 1
    losses, _ = trainer.train_step(next(iter(Plan().batches(0, 0))), 0.1)
    assert step.formats == [torch.float32, expected]  # features are never narrowed
    assert losses["loss"].dtype == torch.float32
    state = trainer.state({})
    assert {weight.dtype for weight in state["system"].values()} == {torch.float32}
    assert {value.dtype for values in state["optimizer"]["state"].values() for value in values.values()} == {
        torch.float32
    }


def test_a_bf16_step_is_a_float32_step_rounded():
    def updated(precision):
        step = Step()
        Trainer(step, replace(CONFIG, precision=precision, optimizer="sgd"), World()).train_step(
            next(iter(Plan().batches(0, 0))), 0.1
        )
        return step.model.weight.detach()

    exact, rounded = updated("float32"), updated("bf16")
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, rtol=0, atol=0.02)  # 8 binary digits of numbers up to 4, times the rate


class Layers(StepModule):
    def __init__(self):
        super().__init__(nn.Identity(), nn.Identity())
        self.linear = nn.Linear(3, 2)
        self.bn1 = nn.BatchNorm1d(2)
        self.norm = nn.BatchNorm1d(2)
        self.cutoffs = nn.Parameter(torch.ones(4, 1))


@pytest.mark.parametrize(
    ("decayed", "exempt"),
    [
        ("all", []),
        ("all_but_bn", ["bn1.bias", "bn1.weight"]),
        ("matrices", ["bn1.bias", "bn1.weight", "cutoffs", "linear.bias", "norm.bias", "norm.weight"]),
    ],
)
def test_which_parameters_decay(decayed, exempt):
    module = Layers()
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = make_optimizer(module, replace(CONFIG, weight_decay=0.1, decayed=decayed)).param_groups
    assert [group["weight_decay"] for group in groups] == ([0.1, 0.0] if exempt else [0.1])
    spared = groups[1]["params"] if exempt else []
    assert sorted(names[id(parameter)] for parameter in spared) == exempt
    assert sum(len(group["params"]) for group in groups) == len(names)
