"""The step of speaker classification: softmax, AM-softmax or AAM-softmax over all speakers of the training set."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sv.losses import AAMSoftmax, AMSoftmax, SoftmaxLoss
from sv.losses.aam_softmax import Tail
from sv.train.schedules import MarginRise, rising_margin


@dataclass(frozen=True, kw_only=True)
class ClassificationConfig:
    """Which classifier; all but `criterion` are of the margin softmax losses.

    Attributes
    ----------
    criterion : "softmax", "am" or "aam"
    margin : float
        Of the cosine ("am") or in radians ("aam").
    scale : float
    tail : "continuous", "published" or "easy"
        Of "aam"; see `sv.losses.AAMSoftmax`.
    subcenters : int
        Class vectors of a speaker.
    margin_rise : "exponential" or "linear"
        How the margin grows from 0 between the epochs `margin_from` and `margin_until`, fractions included; it is
        `margin` from the start if both are 0.
    margin_from, margin_until : float
    """

    criterion: Literal["softmax", "am", "aam"] = "aam"
    margin: float = 0.2
    scale: float = 30.0
    tail: Tail = "continuous"
    subcenters: int = 1
    margin_rise: MarginRise = "exponential"
    margin_from: float = 0.0
    margin_until: float = 0.0

    def __post_init__(self) -> None:
        if self.margin < 0:
            raise ValueError(f"margin must not be negative, got {self.margin}")
        if not self.scale > 0:
            raise ValueError(f"scale must be positive, got {self.scale}")
        if self.subcenters < 1:
            raise ValueError(f"subcenters must be at least 1, got {self.subcenters}")
        if not 0 <= self.margin_from <= self.margin_until:
            raise ValueError(
                f"margin_from and margin_until must be epochs in order, got {self.margin_from} and {self.margin_until}"
            )


class ClassificationStep(nn.Module):
    """Classify every utterance of the batch.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : ClassificationConfig
    num_speakers : int
    """

    def __init__(self, frontend: nn.Module, model: nn.Module, config: ClassificationConfig, num_speakers: int) -> None:
        super().__init__()
        self.frontend, self.model, self.config = frontend, model, config
        dim = model.config.embedding_dim
        if config.criterion == "softmax":
            self.criterion: nn.Module = SoftmaxLoss(dim, num_speakers)
        elif config.criterion == "am":
            self.criterion = AMSoftmax(dim, num_speakers, config.scale, config.subcenters)
        else:
            self.criterion = AAMSoftmax(dim, num_speakers, config.scale, config.tail, config.subcenters)

    def forward(
        self, waveforms: Tensor, references: Tensor, speaker_ids: Tensor, epoch: float = 0.0
    ) -> dict[str, Tensor]:
        """Loss of (batch, samples) waveforms of the speakers (batch,)."""
        embeddings = self.model.embed(self.frontend(waveforms))
        config, margin = self.config, ()
        if config.criterion != "softmax":
            margin = (rising_margin(epoch, config.margin, config.margin_from, config.margin_until, config.margin_rise),)
        with torch.autocast(waveforms.device.type, enabled=False):
            return {"loss": self.criterion(embeddings.float(), speaker_ids, *margin)}
