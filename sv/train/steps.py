"""Step functions: from a batch to its losses; front end, model and criteria in one module, so DDP sees every parameter."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.losses import AAMSoftmax, AngularPrototypical, SoftmaxLoss
from sv.models.output import Embedded
from sv.train.config import LossConfig
from sv.train.distributed import gather_rows


class PairStep(nn.Module):
    """Joint loss on clean/disturbed pairs (Kim et al. 2022, arXiv:2206.13044).

    A batch is n clean first views, then n disturbed second views of the same speakers. All views are classified; the
    enhanced features are regressed to those of the undisturbed crops; disturbed embeddings query clean ones.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : LossConfig
    embedding_dim, num_speakers : int

    Raises
    ------
    ValueError
        If `feature_mse` has a weight but the model does not enhance (found at the first step).
    """

    def __init__(
        self, frontend: nn.Module, model: nn.Module, config: LossConfig, embedding_dim: int, num_speakers: int
    ) -> None:
        super().__init__()
        self.frontend, self.model, self.config = frontend, model, config
        self.criteria = nn.ModuleDict()
        if config.speaker and config.speaker_type == "softmax":
            self.criteria["speaker"] = SoftmaxLoss(embedding_dim, num_speakers)
        elif config.speaker:
            self.criteria["speaker"] = AAMSoftmax(embedding_dim, num_speakers, config.scale)
        if config.angular_prototypical:
            self.criteria["angular_prototypical"] = AngularPrototypical()

    def forward(self, waveforms: Tensor, references: Tensor, speaker_ids: Tensor) -> dict[str, Tensor]:
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
