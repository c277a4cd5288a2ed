"""Learning rate as a function of the step: nothing to restore on resume."""

import math

from sv.train.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Rate of update number `step` (from 0)."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    epoch = step // steps_per_epoch
    if config.schedule == "constant":
        return warmup * config.lr
    if config.schedule == "inverse_time":
        return warmup * config.lr / (1 + config.lr_decay * step)
    if config.schedule == "step":
        decays = step // config.lr_decay_steps if config.lr_decay_steps else epoch // config.lr_decay_epochs
        return warmup * config.lr * config.lr_decay**decays
    period = (config.restart_epochs or config.num_epochs) * steps_per_epoch
    fraction = (step % period) / period
    return warmup * (config.lr_floor + (config.lr - config.lr_floor) * (1 + math.cos(math.pi * fraction)) / 2)
