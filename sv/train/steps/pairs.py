"""The step of clean/augmented pairs: the joint loss of ExU-Net and its relatives."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import require
from sv.losses import AngularPrototypical, ClassifierLoss
from sv.losses.aam_softmax import Tail
from sv.models.output import Embedded
from sv.train.distributed import gather_rows
from sv.train.steps.criteria import check_name, make_criterion, options_of
from sv.train.steps.protocol import StepModule, WaveformBatch


@dataclass(frozen=True, kw_only=True)
class PairLossConfig:
    """Weights of the joint loss; a term of weight 0 is left out.

    Attributes
    ----------
    speaker : float
        Speaker classification of all views.
    speaker_type : str
        "softmax", "aam" or any other `ClassifierLoss` of `sv.losses.LOSSES`.
    margin, scale : float
        Of the margin softmax losses; margin of the cosine ("am") or in radians ("aam").
    tail : "continuous", "published" or "easy"
        Of "aam"; see `sv.losses.AAMSoftmaxConfig`.
    feature_mse : float
        Mean squared error of the enhanced features against those of the crop without augmentation.
    angular_prototypical : float
        Augmented views as queries against clean views as prototypes, over the batch of all ranks.
    """

    speaker: float = 1.0
    speaker_type: str = "softmax"
    margin: float = 0.2
    scale: float = 30.0
    tail: Tail = field(default="continuous", metadata={"later": True})  # older runs do not tell it
    feature_mse: float = 0.0
    angular_prototypical: float = 0.0

    def __post_init__(self) -> None:
        check_name("speaker_type", self.speaker_type, ClassifierLoss)
        options_of(self.speaker_type, self)  # which checks them
        require(self, not_negative=("speaker", "feature_mse", "angular_prototypical"))
        if self.speaker + self.angular_prototypical == 0:
            raise ValueError("speaker or angular_prototypical must be positive, or no loss reaches the embedding")


class PairStep(StepModule):
    """Joint loss on clean/augmented pairs (Kim et al. 2022, arXiv:2206.13044).

    A batch is n clean first views, then n augmented second views of the same speakers. All views are classified; the
    enhanced features are regressed to those of the crops without augmentation; augmented embeddings query clean ones.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : PairLossConfig
    num_speakers : int

    Raises
    ------
    ValueError
        If `feature_mse` has a weight but the model does not enhance (found at the first step).
    """

    batches = ("pairs",)

    def __init__(self, frontend: nn.Module, model: nn.Module, config: PairLossConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config)
        self.criteria = nn.ModuleDict()
        if config.speaker:
            sizes = model.config.embedding_dim, num_speakers
            self.criteria["speaker"] = make_criterion(config.speaker_type, config, *sizes)
        if config.angular_prototypical:
            self.criteria["angular_prototypical"] = AngularPrototypical()

    def forward(self, batch: WaveformBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Losses of a batch: each weighted term by name, unweighted, and their weighted sum as `loss`."""
        features = self.hear(batch.waveforms)
        embedded = self.model(features) if self.config.feature_mse else Embedded(self.model.embed(features), None)
        with torch.autocast(features.device.type, enabled=False):
            losses = self._losses(embedded, batch)
        total = sum(getattr(self.config, name) * value for name, value in losses.items())
        return {"loss": total, **losses}

    def _losses(self, embedded: Embedded, batch: WaveformBatch) -> dict[str, Tensor]:
        embeddings, losses = embedded.embedding.float(), {}
        if self.config.speaker:
            losses["speaker"] = self.criteria["speaker"](embeddings, batch.speaker_ids, self.config.margin)
        if self.config.feature_mse:
            if embedded.enhanced is None:
                raise ValueError("[loss] feature_mse is set, but this model does not enhance features; set it to 0")
            losses["feature_mse"] = F.mse_loss(embedded.enhanced.float(), self.read(batch.references))
        if self.config.angular_prototypical:
            clean, augmented = (gather_rows(half) for half in embeddings.chunk(2))
            losses["angular_prototypical"] = self.criteria["angular_prototypical"](augmented, clean)
        return losses
