"""The step of speaker classification over all speakers of the training set."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.base.config import require
from sv.losses import ClassifierLoss
from sv.losses.aam_softmax import Tail
from sv.train.schedules import MarginRise, rising_margin
from sv.train.steps.criteria import CriterionConfig, make_criterion, options_of
from sv.train.steps.protocol import StepModule, WaveformBatch


@dataclass(frozen=True, kw_only=True)
class ClassificationConfig(CriterionConfig):
    """The classifier; all but `criterion` are of the margin softmax losses.

    Attributes
    ----------
    criterion : str
        "softmax", "am", "aam" or any other `ClassifierLoss` of `sv.losses.LOSSES`.
    margin : float
        Of the cosine ("am") or in radians ("aam").
    scale : float
    tail : "continuous", "published" or "easy"
        Of "aam"; see `sv.losses.AAMSoftmaxConfig`.
    subcenters : int
        Class vectors per speaker.
    margin_rise : "exponential" or "linear"
        How the margin grows from 0 between the epochs `margin_from` and `margin_until`, fractions included; it is
        `margin` from the start if both are 0.
    margin_from, margin_until : float
    """

    kind = ClassifierLoss
    criterion: str = "aam"
    margin: float = 0.2
    scale: float = 30.0
    tail: Tail = "continuous"
    subcenters: int = 1
    margin_rise: MarginRise = "exponential"
    margin_from: float = 0.0
    margin_until: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        options_of("aam", self)  # checked whatever the criterion is
        require(self, not_negative=("margin",))
        if not 0 <= self.margin_from <= self.margin_until:
            raise ValueError(
                f"margin_from and margin_until must be epochs in order, got {self.margin_from} and {self.margin_until}"
            )


class ClassificationStep(StepModule):
    """Classify every utterance of the batch.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : ClassificationConfig
    num_speakers : int
    """

    def __init__(self, frontend: nn.Module, model: nn.Module, config: ClassificationConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config)
        self.criterion = make_criterion(config.criterion, config, model.config.embedding_dim, num_speakers)

    def forward(self, batch: WaveformBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Loss of a batch of waveforms."""
        embeddings, config = self.model.embed(self.hear(batch.waveforms)), self.config
        margin = rising_margin(epoch, config.margin, config.margin_from, config.margin_until, config.margin_rise)
        with torch.autocast(embeddings.device.type, enabled=False):
            return {"loss": self.criterion(embeddings.float(), batch.speaker_ids, margin)}
