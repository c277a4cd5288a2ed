"""The training loop, the only one."""

import copy
import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from sv.base.files import write_text
from sv.base.layout import ModelFolder
from sv.base.log import get_logger
from sv.base.packages import require
from sv.base.seeding import derive_seed
from sv.models.precision import autocast, choose_precision
from sv.train import best, checkpoint
from sv.train.accumulation import Accumulated, Plan
from sv.train.config import TrainConfig
from sv.train.distributed import World, any_rank, barrier, mean_over_ranks
from sv.train.schedules import learning_rate
from sv.train.steps.protocol import Batch, Step

COMPILER = "inductor"  # of torch.compile


class NonFiniteError(RuntimeError):
    """A loss or gradient is NaN or infinite; the message names the batch."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Folder and identity of a run.

    Attributes
    ----------
    exp_dir : Path
    identity : dict
        Stored in checkpoints; the caller compares it before resuming.
    """

    exp_dir: Path
    identity: dict[str, Any]

    @property
    def folder(self) -> ModelFolder:
        """Model folder that the run writes."""
        return ModelFolder(self.exp_dir)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder.checkpoints


class Trainer:
    """State of a training run: step module, optimiser, position, best score.

    Parameters
    ----------
    step_module : sv.train.steps.protocol.Step
    config : TrainConfig
    world : World
    seed : int
        Keys torch's generators anew before each step, so that what a step draws does not depend on what was drawn before.
    """

    def __init__(self, step_module: Step, config: TrainConfig, world: World, seed: int = 0) -> None:
        self.config, self.world, self.seed = config, world, seed
        self.precision = precision_of(config.precision, world.device)
        step_module.to(world.device)
        if world.device.type == "cuda" or _is_wide(step_module):
            step_module.model.to(memory_format=torch.channels_last)
        if world.device.type == "cuda" and world.size > 1:
            step_module = nn.SyncBatchNorm.convert_sync_batchnorm(step_module)
        if config.compile:
            compile_parts(step_module.model)
        self.module = step_module
        self.parallel = step_module
        if world.size > 1:
            device_ids = [world.device] if world.device.type == "cuda" else None
            self.parallel = DistributedDataParallel(step_module, device_ids=device_ids)
        self.optimizer = make_optimizer(step_module, config)
        self.mean = None  # of the weights so far, if one is kept
        if config.ema:
            self.mean = AveragedModel(step_module, multi_avg_fn=get_ema_multi_avg_fn(config.ema)).eval()
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.precision == "fp16")
        self.step = 0
        self.best_eer = float("inf")
        self.best: dict[str, Any] | None = None  # what checkpoints tell of best.pt

    def set_training(self) -> None:
        """Set the mode of training, in which batch norms stay as they are in use if they keep their statistics."""
        self.module.train()
        for part in self.module.model.modules() if self.config.keep_norms else ():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()

    def result(self) -> nn.Module:
        """Model to evaluate and to save in best.pt: of the weights, or of their running mean if one is kept."""
        return (self.mean.module if self.mean else self.module).result()

    def state(self, identity: dict[str, Any]) -> checkpoint.State:
        """Everything that resuming needs."""
        return {
            "system": self.module.state_dict(),
            **({"mean": self.mean.state_dict()} if self.mean else {}),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "best_eer": self.best_eer,
            "best": self.best,
            "rng": checkpoint.rng_state(),
            "identity": identity,
        }

    def restore(self, state: checkpoint.State) -> None:
        """Continue from a checkpoint's state."""
        self.module.load_state_dict(state["system"], strict=True)
        if self.mean:
            self.mean.load_state_dict(state["mean"], strict=True)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.best_eer, self.best = state["step"], state["best_eer"], state.get("best")
        checkpoint.restore_rng(state["rng"])

    def train_step(
        self, batches: Batch | Sequence[Batch], lr: float, epoch: float = 0.0
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """One update, of one batch or of several whose losses are averaged.

        Returns this rank's detached losses and the norm of the gradient over all ranks.

        Raises
        ------
        NonFiniteError
            On every rank, before the update, if the loss of any rank or the gradient is not finite.
        """
        batches = batches if isinstance(batches, tuple) else (batches,)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        torch.manual_seed(derive_seed(self.seed, "step", self.step, self.world.rank))
        self.optimizer.zero_grad(set_to_none=True)
        found = [self._backward(batch, epoch, 1 / len(batches), batch is batches[-1]) for batch in batches]
        self.scaler.unscale_(self.optimizer)
        self.module.after_backward()
        gradients = [parameter.grad for parameter in self.module.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.precision != "fp16":  # there the scaler skips an overflown step and lowers its scale
            self._refuse(not bool(torch.isfinite(norm)), "gradient", batches[-1])
        if self.config.max_grad_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.module.parameters(), self.config.max_grad_norm, norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.mean:
            self.mean.update_parameters(self.module)
        self.step += 1
        return {name: sum(losses[name] for losses in found) / len(found) for name in found[0]}, norm

    def _backward(self, batch: Batch, epoch: float, share: float, last: bool) -> dict[str, torch.Tensor]:
        """Add the gradient of a batch, times its share of the step; ranks exchange gradients with the last one."""
        batch = batch.to(self.world.device)
        alone = not last and isinstance(self.parallel, DistributedDataParallel)
        with self.parallel.no_sync() if alone else nullcontext():
            with autocast(self.world.device, self.precision):
                losses = self.parallel(batch, epoch)
            self._refuse(not bool(torch.isfinite(losses["loss"])), "loss", batch)
            self.scaler.scale(losses["loss"] * share if share < 1 else losses["loss"]).backward()
        return {name: value.detach() for name, value in losses.items()}

    def _refuse(self, bad_here: bool, what: str, batch: Batch) -> None:
        if any_rank(bad_here, self.world.device):
            where = f"rank {self.world.rank}, utterances {' '.join(batch.utterances)}" if bad_here else "another rank"
            raise NonFiniteError(f"step {self.step}: the {what} is not finite ({where}); stopped before the update")


def precision_of(asked: str, device: torch.device) -> str:
    """Precision of a training's multiplications. Weights, gradients, norms and losses are float32 in all.

    Raises
    ------
    ValueError
        For "fp16" elsewhere than on a GPU.
    """
    if asked == "fp16":
        if device.type != "cuda":
            raise ValueError("[train] precision 'fp16' needs a GPU; use bf16, float32 or auto here")
        return asked
    chosen, why = choose_precision(asked, device)
    if why:
        get_logger("train").info("%s", why)
    return chosen


def compile_parts(module: nn.Module) -> None:
    """Compile each part that a network calls, in place; copies of the network, as for evaluation, are not compiled."""
    for part in module.children():
        if isinstance(part, nn.ModuleList | nn.ModuleDict):
            compile_parts(part)  # which is not called itself
        else:
            part.compile(backend=COMPILER)


def make_optimizer(step_module: Step, config: TrainConfig) -> torch.optim.Optimizer:
    """Build the configured optimiser over the step's parameter groups."""
    groups = step_module.parameter_groups(config.decayed)
    common = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=config.momentum, **common)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, amsgrad=config.amsgrad, **common)


def _is_wide(module: nn.Module) -> bool:
    """True if every convolution has at least 16 channels: on CPUs, channels-last is slower below."""
    widths = [layer.out_channels for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    return min(widths, default=0) >= 16


def fit(
    trainer: Trainer,
    plan: Plan,
    evaluate: Callable[[nn.Module], dict[str, float]],
    run: Run,
    state: checkpoint.State | None,
) -> None:
    """Train to the configured number of epochs, from `state` on if there is one.

    Parameters
    ----------
    trainer : Trainer
    plan : Plan
    evaluate : callable
        Scores of the model on held-out speakers, at each epoch's end, on all ranks; `eer` picks best.pt, unless weights
        are averaged.
    run : Run
    state : dict, optional
        Of `checkpoint.load_newest`.
    """
    config, world, log = trainer.config, trainer.world, get_logger("train")
    plan = Accumulated(plan, config.accumulate)
    if state is not None:
        trainer.restore(state)
        log.info("resuming at step %d", trainer.step)
    with Journal(run.exp_dir, trainer.step, enabled=world.is_main) as journal:
        for epoch in range(trainer.step // plan.steps_per_epoch, config.num_epochs):
            started = time.time()
            trainer.set_training()
            _train_epoch(trainer, plan, epoch, journal, run)
            trainer.module.eval()
            result = trainer.result()
            scores = evaluate(result)
            journal.write(trainer.step, epoch=epoch, **{f"valid_{name}": value for name, value in scores.items()})
            log.info(
                "epoch %d: step %d, valid EER %.2f %%, %.0f s",
                epoch,
                trainer.step,
                scores["eer"],
                time.time() - started,
            )
            if world.is_main:
                _save_epoch(trainer, run, epoch, result, scores)
            trainer.best_eer = min(trainer.best_eer, scores["eer"])
    if config.average_epochs:
        _use_mean(trainer, evaluate, run)


def _train_epoch(trainer: Trainer, plan: Accumulated, epoch: int, journal: "Journal", run: Run) -> None:
    config, world = trainer.config, trainer.world
    first, total = trainer.step % plan.steps_per_epoch, plan.steps_per_epoch
    steps = tqdm(
        plan.steps(epoch, first),
        initial=first,
        total=total,
        desc=f"epoch {epoch}",
        unit="step",
        disable=None if world.is_main else True,
    )
    since, count = time.time(), 0
    for batches in steps:
        size = sum(len(batch.utterances) for batch in batches) * world.size
        lr = learning_rate(config, trainer.step, plan.steps_per_epoch) * (size / (config.lr_batch or size))
        losses, norm = trainer.train_step(batches, lr, trainer.step / plan.steps_per_epoch)
        count += size
        if trainer.step % config.log_interval == 0:
            means = mean_over_ranks({name: float(value) for name, value in losses.items()}, world.device)
            rate = count / (time.time() - since)
            journal.write(trainer.step, epoch=epoch, **means, lr=lr, grad_norm=float(norm), utterances_per_second=rate)
            since, count = time.time(), 0
        at_end = trainer.step % plan.steps_per_epoch == 0
        if (
            config.checkpoint_interval
            and trainer.step % config.checkpoint_interval == 0
            and not at_end
            and world.is_main
        ):
            checkpoint.save_step(run.checkpoints, trainer.step, trainer.state(run.identity), config.keep_checkpoints)


def _save_epoch(trainer: Trainer, run: Run, epoch: int, result: nn.Module, scores: dict[str, float]) -> None:
    weights = {"model": result.state_dict(), "step": trainer.step, "valid_eer": scores["eer"]}
    if epoch >= trainer.config.num_epochs - trainer.config.average_epochs:
        checkpoint.save(checkpoint.epoch_weights(run.checkpoints, epoch), weights)
    if scores["eer"] <= trainer.best_eer:  # of equals the later: a small validation set cannot tell them apart
        trainer.best_eer = scores["eer"]
        trainer.best = best.save(run.folder.best, weights, run.identity)
    checkpoint.save_step(run.checkpoints, trainer.step, trainer.state(run.identity), trainer.config.keep_checkpoints)


def _use_mean(trainer: Trainer, evaluate: Callable[[nn.Module], dict[str, float]], run: Run) -> None:
    """Make best.pt the mean of the weights after the last epochs."""
    last = trainer.config.num_epochs
    paths = [checkpoint.epoch_weights(run.checkpoints, n) for n in range(last - trainer.config.average_epochs, last)]
    barrier()
    if missing := [path for path in paths if not path.exists()]:
        raise ValueError(
            f"{missing[0]}: not there to be averaged; [train] average_epochs was smaller when that epoch ended: "
            "lower it again, or raise num_epochs"
        )
    model = copy.deepcopy(trainer.module.model)
    model.load_state_dict(checkpoint.mean_weights(paths))
    eer = evaluate(model)["eer"]
    get_logger("train").info("mean of the last %d epochs: valid EER %.2f %%", len(paths), eer)
    if trainer.world.is_main:
        weights = {"model": model.state_dict(), "step": trainer.step, "valid_eer": eer}
        best.save(run.folder.best, weights, run.identity)


class Journal:
    """train.jsonl, one record per line, and the same numbers for TensorBoard; lines after the resumed step are dropped."""

    def __init__(self, exp_dir: Path, step: int, enabled: bool) -> None:
        self.enabled = enabled
        if not enabled:
            return
        require("training", "recipes", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter  # for those who train

        path = ModelFolder(exp_dir).log
        kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= step]
        write_text(path, "".join(kept))
        self.file = path.open("a", encoding="utf-8")
        self.board = SummaryWriter(exp_dir / "tensorboard", purge_step=step + 1)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.enabled:
            self.file.close()
            self.board.close()

    def write(self, step: int, **values: float) -> None:
        """Add a record."""
        if not self.enabled:
            return
        self.file.write(json.dumps({"step": step, **values}) + "\n")
        self.file.flush()
        for name, value in values.items():
            self.board.add_scalar(name, value, step)


def _whole_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
