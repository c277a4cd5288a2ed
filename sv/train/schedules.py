"""Learning rate and margin as functions of the step or epoch: nothing to restore on resume."""

import math
from typing import Literal

from sv.train.config import TrainConfig

MarginRise = Literal["exponential", "linear"]
LEFT_OVER = 1e-3  # what an exponential rise lacks at its end


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
    if config.schedule == "warm_restarts":
        return warmup * warm_restarts(config, step, steps_per_epoch)
    period = (config.restart_epochs or config.num_epochs) * steps_per_epoch
    fraction = (step % period) / period
    return warmup * (config.lr_floor + (config.lr - config.lr_floor) * (1 + math.cos(math.pi * fraction)) / 2)


def rising_margin(epoch: float, margin: float, first: float, last: float, rise: MarginRise) -> float:
    """Margin at a moment of training: 0 up to epoch `first`, `margin` from epoch `last` on, in between as `rise` says.

    Parameters
    ----------
    epoch : float
        Epochs done so far, with the fraction of the current one.
    margin, first, last : float
    rise : "exponential" or "linear"
        "exponential" approaches the margin, fast at first, to a thousandth of it; as WeSpeaker's schedule.
    """
    if epoch >= last:
        return margin
    if epoch < first:
        return 0.0
    fraction = (epoch - first) / (last - first)
    return margin * (fraction if rise == "linear" else 1 - LEFT_OVER**fraction)


def warm_restarts(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Rate of the schedule of the published Diff-SV code, in closed form but for a loop over the cycles."""
    rise, period, peak = config.warmup_epochs * steps_per_epoch, config.restart_epochs * steps_per_epoch, config.lr
    while step >= period:
        step -= period
        period, peak = int((period - rise) * config.restart_growth + rise), peak * config.restart_decay
    if step < rise:
        return config.lr_floor + (peak - config.lr_floor) * step / rise
    return config.lr_floor + (peak - config.lr_floor) * (1 + math.cos(math.pi * (step - rise) / (period - rise))) / 2
