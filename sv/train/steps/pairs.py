"""The step of clean/augmented pairs: the joint loss of ExU-Net and its relatives."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.losses import AAMSoftmax, AngularPrototypical, SoftmaxLoss
from sv.models.output import Embedded
from sv.train.distributed import gather_rows


@dataclass(frozen=True, kw_only=True)
class PairLossConfig:
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


class PairStep(nn.Module):
    """Joint loss on clean/disturbed pairs (Kim et al. 2022, arXiv:2206.13044).

    A batch is n clean first views, then n disturbed second views of the same speakers. All views are classified; the
    enhanced features are regressed to those of the undisturbed crops; disturbed embeddings query clean ones.

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

    def __init__(self, frontend: nn.Module, model: nn.Module, config: PairLossConfig, num_speakers: int) -> None:
        super().__init__()
        self.frontend, self.model, self.config = frontend, model, config
        self.criteria = nn.ModuleDict()
        embedding_dim = model.config.embedding_dim
        if config.speaker and config.speaker_type == "softmax":
            self.criteria["speaker"] = SoftmaxLoss(embedding_dim, num_speakers)
        elif config.speaker:
            self.criteria["speaker"] = AAMSoftmax(embedding_dim, num_speakers, config.scale)
        if config.angular_prototypical:
            self.criteria["angular_prototypical"] = AngularPrototypical()

    def forward(
        self, waveforms: Tensor, references: Tensor, speaker_ids: Tensor, epoch: float = 0.0
    ) -> dict[str, Tensor]:
        """Losses of (batch, samples) waveforms: each weighted term by name, unweighted, and their sum as `loss`."""
        features = self.frontend(waveforms)
        embedded = self.model(features) if self.config.feature_mse else Embedded(self.model.embed(features), None)
        with torch.autocast(waveforms.device.type, enabled=False):
            losses = self._losses(embedded, references, speaker_ids)
        total = sum(getattr(self.config, name) * value for name, value in losses.items())
        return {"loss": total, **losses}

    def _losses(self, embedded: Embedded, references: Tensor, speaker_ids: Tensor) -> dict[str, Tensor]:
        embeddings, losses = embedded.embedding.float(), {}
        if self.config.speaker:
            margin = (self.config.margin,) if self.config.speaker_type == "aam" else ()
            losses["speaker"] = self.criteria["speaker"](embeddings, speaker_ids, *margin)
        if self.config.feature_mse:
            if embedded.enhanced is None:
                raise ValueError("[loss] feature_mse is set, but this model does not enhance features; set it to 0")
            losses["feature_mse"] = F.mse_loss(embedded.enhanced.float(), self.frontend(references))
        if self.config.angular_prototypical:
            clean, disturbed = (gather_rows(half) for half in embeddings.chunk(2))
            losses["angular_prototypical"] = self.criteria["angular_prototypical"](disturbed, clean)
        return losses
