"""What is optimised, and how."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the joint loss; a term of weight 0 is left out.

    Attributes
    ----------
    speaker : float
        Speaker classification of all views.
    speaker_type : "softmax" or "aam"
    margin, scale : float
        Of AAM-softmax; margin in radians.
    feature_mse : float
        Mean squared error of the enhanced features against those of the undisturbed crop.
    angular_prototypical : float
        Disturbed views as queries against clean views as prototypes, over the batch of all ranks.
    """

    speaker: float = 1.0
    speaker_type: Literal["softmax", "aam"] = "softmax"
    margin: float = 0.2
    scale: float = 30.0
    feature_mse: float = 0.0
    angular_prototypical: float = 0.0

    def __post_init__(self) -> None:
        if min(self.speaker, self.feature_mse, self.angular_prototypical) < 0:
            raise ValueError("loss weights must not be negative")
        if self.speaker + self.angular_prototypical == 0:
            raise ValueError("speaker or angular_prototypical must be positive, or no loss reaches the embedding")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Optimisation.

    Attributes
    ----------
    num_epochs : int
    pairs_per_batch : int
        Over all ranks; a batch has twice as many utterances.
    crop_samples : int
        Length of training crops at 16 kHz.
    lr : float
        Peak of the learning rate.
    schedule : "step", "cosine" or "constant"
        "step": times `lr_decay` every `lr_decay_epochs`. "cosine": from the peak down to `lr_floor` over
        `restart_epochs`, again and again (0: once, over all epochs).
    warmup_steps : int
        Over which the rate rises linearly from 0.
    weight_decay : float
        L2, coupled, on every parameter.
    max_grad_norm : float, optional
    precision : "float32", "bf16" or "fp16"
        The last two on GPUs only.
    num_workers : int
        Reading processes a rank.
    log_interval : int
        Steps.
    checkpoint_interval : int
        Steps; 0 for the ends of epochs only.
    keep_checkpoints : int
    max_utterances : int
        Of one speaker in one epoch.
    augment_both : bool
        Disturb the first views of the pairs too, each by a draw of its own; the published ExU-Net code leaves them clean.
    frozen_pairs : bool
        The same pairs in every epoch, as in the published ExU-Net code.
    """

    num_epochs: int = 500
    pairs_per_batch: int = 60
    crop_samples: int = 40_880
    lr: float = 1e-3
    schedule: Literal["step", "cosine", "constant"] = "step"
    lr_decay: float = 0.95
    lr_decay_epochs: int = 10
    lr_floor: float = 1e-7
    restart_epochs: int = 80
    warmup_steps: int = 0
    weight_decay: float = 1e-4
    max_grad_norm: float | None = None
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    num_workers: int = 2
    log_interval: int = 10
    checkpoint_interval: int = 0
    keep_checkpoints: int = 2
    max_utterances: int = 500
    augment_both: bool = False
    frozen_pairs: bool = False

    def __post_init__(self) -> None:
        for name in (
            "num_epochs",
            "pairs_per_batch",
            "crop_samples",
            "log_interval",
            "keep_checkpoints",
            "lr_decay_epochs",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("num_workers", "warmup_steps", "checkpoint_interval", "restart_epochs", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not self.lr > 0:
            raise ValueError(f"lr must be positive, got {self.lr}")
