"""A few steps of a training, to tell what all of it takes; nothing is kept of them."""

import time
from collections.abc import Iterator

import torch

from sv.system.config import SystemConfig
from sv.system.run import TrainingData, make_trainer
from sv.train import checkpoint
from sv.train.accumulation import Accumulated
from sv.train.distributed import World, barrier
from sv.train.steps.protocol import Batch

WARM = 3  # steps before the clock starts: kernels are chosen, memory is taken, readers begin
GIB = 1 << 30


def probe_training(system: SystemConfig, data: TrainingData, num_steps: int, world: World) -> str:
    """Train some steps, evaluate once, and say what all epochs take on as many processes.

    Weights that the training would start from are not read: they take no other time.

    Returns
    -------
    str
        One line: seconds a step and an evaluation, and the hours of all epochs; on a GPU its memory, too.
    """
    checkpoint.seed_rng(system.seed)
    trainer, frontend = make_trainer(system, data, world)
    plan = Accumulated(data.plan, system.train.accumulate)
    trainer.module.train()
    started, size, lr = 0.0, 0, system.train.lr * 1e-3
    for done, batches in enumerate(_endless(plan)):
        if done == WARM:
            started = _now(world)
        if done == WARM + num_steps:
            break
        size = sum(len(batch.utterances) for batch in batches) * world.size
        trainer.train_step(batches, lr)
    step_seconds = (_now(world) - started) / num_steps
    trainer.module.eval()
    started = _now(world)
    data.make_evaluation(frontend)(trainer.result())
    evaluation_seconds = _now(world) - started
    epochs, steps = system.train.num_epochs, plan.steps_per_epoch
    hours = epochs * (steps * step_seconds + evaluation_seconds) / 3600
    return (
        f"{system.name}: {step_seconds:.3g} s a step of {size} utterances, {evaluation_seconds:.3g} s an evaluation; "
        f"{epochs} epochs of {steps} steps: {hours:.3g} h on {_where(world, hours)}"
    )


def _endless(plan: Accumulated) -> Iterator[tuple[Batch, ...]]:
    epoch = 0
    while True:
        yield from plan.steps(epoch, 0)
        epoch += 1


def _now(world: World) -> float:
    """Time when every rank is here and has computed all that it was given."""
    if world.device.type == "cuda":
        torch.cuda.synchronize(world.device)
    barrier()
    return time.perf_counter()


def _where(world: World, hours: float) -> str:
    if world.device.type != "cuda":
        return f"{world.size} process{'es' * (world.size > 1)} without a GPU"
    used = torch.cuda.max_memory_reserved(world.device) / GIB
    there = torch.cuda.get_device_properties(world.device).total_memory / GIB
    return f"{world.size} GPU{'s' * (world.size > 1)}: {world.size * hours:.3g} GPU-hours; {used:.1f} of {there:.1f} GiB of memory"
