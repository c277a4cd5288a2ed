"""Options of the training loop: optimiser, schedules, checkpoints."""

from dataclasses import dataclass, field
from typing import Literal

from sv.base.config import require
from sv.features.masks import MaskConfig

# Metadata of options that may differ between a run and its continuation: they change no step of it.
FREE = {"free": True}
LATER = {"later": True}  # runs from before there was such an option go on while it is at its default


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of [train]: optimisation, checkpoints, logging.

    Attributes
    ----------
    num_epochs : int
    crop_samples : int
        Length of training crops at 16 kHz.
    optimizer : "adam", "adamw" or "sgd"
    amsgrad : bool
        Of the first two.
    momentum : float
        Of the last.
    lr : float
        Peak of the learning rate.
    schedule : "step", "cosine", "warm_restarts", "inverse_time" or "constant"
        "step": times `lr_decay` every `lr_decay_epochs`, or every `lr_decay_steps` if that is not 0. "cosine": from the
        peak down to `lr_floor` over `restart_epochs`, again and again (0: once, over all epochs). "inverse_time": divided
        by 1 + `lr_decay` x step. "warm_restarts": cycles of a linear rise from `lr_floor` over `warmup_epochs` and a cosine
        back down; the first is `restart_epochs` long, the others grow by `restart_growth` (their rises do not) and peak at
        `restart_decay` times the one before.
    warmup_steps : int
        Over which the rate rises linearly from 0.
    weight_decay : float
        L2; coupled but for adamw.
    decayed : "all", "all_but_bn" or "matrices"
        Parameters with weight decay: every one; those without `bn` in their name, as in the published RawNet code; or
        those with more than one row and column, that is no biases, gains or cut-off frequencies.
    max_grad_norm : float, optional
    precision : "float32", "bf16", "fp16" or "auto"
        "bf16": multiplications in bfloat16, everything else in float32; "fp16" on GPUs only. "auto": bf16 where the
        processor has instructions for it, else float32.
    num_workers : int
        Reading processes per rank.
    log_interval : int
        Steps.
    checkpoint_interval : int
        Steps; 0 for the ends of epochs only.
    keep_checkpoints : int
    average_epochs : int
        The weights to be used are the mean of those after so many last epochs, as in WeSpeaker's average_model.py;
        0: those after the epoch of the lowest EER on the held-out speakers.
    accumulate : int
        Batches of a step, whose losses are averaged; losses that compare utterances with each other do so within each.
    lr_batch : int
        Utterances of a step that `lr` is for, over all ranks: it is multiplied by those that a step has, over this number
        (Goyal et al. 2017, arXiv:1706.02677). 0: it is for any.
    ema : float in [0, 1)
        The weights to be used are a mean over the steps in which each weighs this much less than the next, and batch norms'
        statistics are those of the last step (torch.optim.swa_utils); 0: the weights themselves.
    keep_norms : bool
        The network's batch norms use the statistics that they start with, and keep them; their gains and biases are trained. For
        `initial` weights and few speakers, whose crops in noise would replace what many speakers gave.
    compile : bool
        The network's parts are compiled by torch.compile, for GPUs: the first step takes minutes, the others less time. On a
        CPU it needs a C++ compiler. Numbers are those of another order of operations.
    masks : MaskConfig
        Of the features that a network is trained on.
    initial : str, optional
        Folder of another system, beside this one's, whose weights of the same names and shapes training starts from.
    """

    num_epochs: int = field(default=500, metadata=FREE)
    crop_samples: int = 40_880
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    amsgrad: bool = True
    momentum: float = 0.9
    lr: float = 1e-3
    schedule: Literal["step", "cosine", "warm_restarts", "inverse_time", "constant"] = "step"
    lr_decay: float = 0.95
    lr_decay_epochs: int = 10
    lr_decay_steps: int = 0
    lr_floor: float = 1e-7
    restart_epochs: int = 80
    restart_growth: float = 1.5
    restart_decay: float = 0.5
    warmup_epochs: int = 1
    warmup_steps: int = 0
    weight_decay: float = 1e-4
    decayed: Literal["all", "all_but_bn", "matrices"] = "all"
    max_grad_norm: float | None = None
    precision: Literal["float32", "bf16", "fp16", "auto"] = "float32"
    num_workers: int = field(default=2, metadata=FREE)
    log_interval: int = field(default=10, metadata=FREE)
    checkpoint_interval: int = field(default=0, metadata=FREE)
    keep_checkpoints: int = field(default=2, metadata=FREE)
    average_epochs: int = field(default=0, metadata=FREE)
    accumulate: int = field(default=1, metadata=LATER)
    lr_batch: int = field(default=0, metadata=LATER)
    ema: float = field(default=0.0, metadata=LATER)
    keep_norms: bool = field(default=False, metadata=LATER)
    compile: bool = field(default=False, metadata=LATER)
    masks: MaskConfig = field(default=MaskConfig(), metadata=LATER)
    initial: str | None = None

    def __post_init__(self) -> None:
        require(
            self,
            at_least_one=(
                "num_epochs",
                "crop_samples",
                "log_interval",
                "keep_checkpoints",
                "lr_decay_epochs",
                "accumulate",
            ),
            not_negative=(
                "num_workers",
                "warmup_steps",
                "lr_decay_steps",
                "checkpoint_interval",
                "restart_epochs",
                "average_epochs",
                "weight_decay",
                "lr_batch",
            ),
            positive=("lr",),
        )
        if self.average_epochs > self.num_epochs:
            raise ValueError(f"average_epochs must be at most num_epochs, {self.num_epochs}, got {self.average_epochs}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be in [0, 1), got {self.ema}")
        if self.schedule == "warm_restarts":
            self._check_restarts()

    def _check_restarts(self) -> None:
        if not 0 <= self.warmup_epochs < self.restart_epochs:
            raise ValueError(
                f"warmup_epochs must be in [0, restart_epochs), got {self.warmup_epochs} and {self.restart_epochs}"
            )
        if self.restart_growth < 1 or not 0 < self.restart_decay <= 1:
            raise ValueError(
                "restart_growth must be at least 1 and restart_decay in (0, 1], "
                f"got {self.restart_growth} and {self.restart_decay}"
            )
