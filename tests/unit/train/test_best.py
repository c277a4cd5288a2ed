"""best.pt belongs to the run that made it."""

import hashlib
from dataclasses import replace

import pytest
import torch
from torch import nn

from sv.base.config import ConfigError
from sv.system.run import open_run
from sv.train import best, checkpoint
from sv.train.config import TrainConfig
from sv.train.distributed import World
from sv.train.loop import Trainer, fit
from sv.train.steps.protocol import StepModule

CONFIG = TrainConfig(num_epochs=6, schedule="constant", lr=0.1, weight_decay=0.0)
IDENTITY = {"system": {"name": "a"}, "training data": "b"}
WORLD = World()


class Plan:
    steps_per_epoch = 2

    def batches(self, epoch, first_step):
        for step in range(first_step, 2):
            yield Batch(torch.randn(4, 3, generator=torch.Generator().manual_seed(10 * epoch + step)))


class Batch:
    utterances = ("a", "b", "c", "d")

    def __init__(self, rows):
        self.rows = rows

    def to(self, device):
        return self


class Step(StepModule):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Identity(), nn.Linear(3, 1))

    def forward(self, batch, epoch):
        return {"loss": (self.model(batch.rows) - batch.rows.sum(dim=1, keepdim=True)).square().mean()}


def train(folder, best_epoch=5, identity=IDENTITY, config=CONFIG):
    run, state = open_run(folder, identity, WORLD, bool(config.average_epochs))
    trainer, counter = Trainer(Step(), config, WORLD), [0 if state is None else state["step"] // 2]

    def evaluate(model):
        counter[0] += 1
        return {"eer": float(abs(counter[0] - 1 - best_epoch))}

    fit(trainer, Plan(), evaluate, run, state)
    return run.folder.best


def bytes_of(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "checkpoints").glob("*.pt")}


@pytest.mark.parametrize("best_epoch", [5, 4, 0])
def test_best_that_is_gone_is_made_again_to_the_byte(tmp_path, best_epoch):
    """From the checkpoint that has its weights, or by training again."""
    path = train(tmp_path, best_epoch)
    before = bytes_of(tmp_path)
    assert torch.load(path, weights_only=True)["step"] == 2 * (best_epoch + 1)
    path.unlink()
    train(tmp_path, best_epoch)
    assert bytes_of(tmp_path) == before


def test_a_checkpoint_before_best_is_gone_on_from(tmp_path, caplog):
    path = train(tmp_path, 4, config=replace(CONFIG, keep_checkpoints=6))
    before = bytes_of(tmp_path)
    path.unlink()
    (tmp_path / "checkpoints/step-0000010.pt").unlink()
    train(tmp_path, 4, config=replace(CONFIG, keep_checkpoints=6))
    assert "best.pt is gone: training again from step 8" in caplog.text
    assert bytes_of(tmp_path) == before


@pytest.mark.parametrize("change", ["weights", "run", "all", "garbage"])
def test_a_foreign_best_is_refused_and_kept(tmp_path, change):
    path = train(tmp_path, 3)
    found = torch.load(path, weights_only=True)
    if change == "weights":
        found["model"]["weight"] += 1
    elif change == "run":
        found["run"] = "another"
    torch.save({"model": found["model"]} if change == "all" else found, path)
    if change == "garbage":
        path.write_bytes(b"garbage")
    foreign = path.read_bytes()
    with pytest.raises(ConfigError, match=r"best\.pt: .* move it away, and the next run makes"):
        train(tmp_path, 3)
    assert path.read_bytes() == foreign
    path.unlink()
    train(tmp_path, 3)


def test_published_weights_are_never_trained_over(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    torch.save({"model": {"weight": torch.zeros(1, 3)}}, tmp_path / "checkpoints/best.pt")
    before = bytes_of(tmp_path)
    with pytest.raises(ConfigError, match=r"best\.pt: weights that no training of this system made here"):
        train(tmp_path)
    assert bytes_of(tmp_path) == before
    with pytest.raises(ConfigError, match="weights that no training"):
        best.check_trained(tmp_path / "checkpoints/best.pt")


def test_a_run_killed_between_best_and_its_checkpoint_goes_on(tmp_path):
    path = train(tmp_path)
    before = bytes_of(tmp_path)
    for kept in list(before):
        if kept.startswith("step-"):
            (tmp_path / "checkpoints" / kept).unlink()
    train(tmp_path)  # killed in the first epoch: best.pt without a checkpoint
    assert bytes_of(tmp_path) == before
    newest = checkpoint.step_checkpoints(tmp_path / "checkpoints")[-1]
    newest.unlink()  # killed in the last
    train(tmp_path)
    assert bytes_of(tmp_path) == before
    assert path.exists()


def test_a_run_killed_in_its_first_epoch_goes_on_from_its_checkpoint(tmp_path):
    """There is no best.pt then, and none is gone."""
    config = replace(CONFIG, checkpoint_interval=1)
    run, _ = open_run(tmp_path, IDENTITY, WORLD)
    trainer = Trainer(Step(), config, WORLD)
    trainer.train_step(next(iter(Plan().batches(0, 0))), 0.1)
    checkpoint.save_step(run.checkpoints, trainer.step, trainer.state(IDENTITY), 2)
    _, state = open_run(tmp_path, IDENTITY, WORLD)
    assert state["step"] == 1


def test_a_mean_of_epochs_is_made_anew_whatever_became_of_best(tmp_path):
    config = replace(CONFIG, average_epochs=3)
    path = train(tmp_path, config=config)
    before = bytes_of(tmp_path)
    train(tmp_path, config=config)
    assert bytes_of(tmp_path) == before
    path.unlink()
    train(tmp_path, config=config)
    assert bytes_of(tmp_path) == before


def test_a_folder_of_an_older_version_goes_on(tmp_path):
    """Its checkpoints do not tell of best.pt, nor its best.pt of the run."""
    path = train(tmp_path)
    for file in [path, *checkpoint.step_checkpoints(tmp_path / "checkpoints")]:
        state = checkpoint.load(file)
        state.pop("run", None)
        state.pop("best", None)
        checkpoint.save(file, state)
    train(tmp_path, config=replace(CONFIG, num_epochs=8), best_epoch=7)
    assert torch.load(path, weights_only=True)["step"] == 16


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    train(tmp_path)
    newest = checkpoint.step_checkpoints(tmp_path / "checkpoints")[-1]
    flag = tmp_path / "ran"

    class Touch:
        def __reduce__(self):
            return type(flag).touch, (flag,)

    torch.save({"step": 12, "evil": Touch()}, newest)
    state = checkpoint.load_newest(tmp_path / "checkpoints")
    assert not flag.exists()
    assert state["step"] == 10
