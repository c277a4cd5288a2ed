"""The steps of RawNet1 and RawNet2."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import require
from sv.losses import CentreConfig, CentreLoss, NormSoftmaxConfig, NormSoftmaxLoss, between_speaker
from sv.models.blocks import initialise
from sv.models.rawnet.rawnet1 import initialise_keras
from sv.train.distributed import gather_rows
from sv.train.steps.protocol import StepModule, WaveformBatch


class NormSoftmaxStep(StepModule):
    """Classify every utterance by its embedding's direction (RawNet2, and the PyTorch port of RawNet1).

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : NormSoftmaxConfig
    num_speakers : int
    """

    def __init__(self, frontend: nn.Module, model: nn.Module, config: NormSoftmaxConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config)
        self.criterion = NormSoftmaxLoss(model.config.embedding_dim, num_speakers, config)
        self.criterion.apply(initialise)

    def forward(self, batch: WaveformBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Loss of a batch of waveforms."""
        embeddings = self.model.embed(self.read(batch.waveforms))
        with torch.autocast(embeddings.device.type, enabled=False):
            return {"loss": self.criterion(embeddings.float(), batch.speaker_ids)}


@dataclass(frozen=True, kw_only=True)
class RawNet1LossConfig:
    """Weights of RawNet1's loss beside classification; a term of weight 0 is left out.

    Attributes
    ----------
    between_speaker : float
    centre : float
        The published weight times the published batch size, see `CentreLoss`.
    """

    between_speaker: float = 1.0
    centre: float = 0.0

    def __post_init__(self) -> None:
        require(self, not_negative=("between_speaker", "centre"))


class RawNet1Step(StepModule):
    """Classification without bias, between-speaker loss and centre loss (Jung et al. 2019, arXiv:1904.08104, section 3).

    Weight decay is for kernels alone, as with Keras' regularisers. Those add wd |w|^2 to the loss: half of our
    `weight_decay`.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : RawNet1LossConfig
    num_speakers : int
    """

    def __init__(self, frontend: nn.Module, model: nn.Module, config: RawNet1LossConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config)
        dim = model.config.embedding_dim
        self.classifier = nn.Linear(dim, num_speakers)
        initialise_keras(self.classifier)
        self.classifier.bias = None
        self.centre_loss = CentreLoss(dim, num_speakers, CentreConfig()) if config.centre else None

    def parameter_groups(self, decayed: str = "all") -> list[dict[str, Any]]:
        """Kernels, decayed, and the rest, whatever `decayed` says."""
        parameters = list(self.parameters())
        kernels = [parameter for parameter in parameters if parameter.ndim > 1]
        return [{"params": kernels}, {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}]

    def forward(self, batch: WaveformBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Losses of waveforms: each term by name, unweighted, and their weighted sum as `loss`."""
        embeddings, speaker_ids = self.model.embed(self.read(batch.waveforms)), batch.speaker_ids
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = embeddings.float()
            losses = {"speaker": F.cross_entropy(self.classifier(embeddings), speaker_ids)}
            total = losses["speaker"]
            if self.config.between_speaker:
                losses["between_speaker"] = between_speaker(self.classifier.weight)
                total = total + self.config.between_speaker * losses["between_speaker"]
            if self.centre_loss is not None:
                losses["centre"] = self.centre_loss(embeddings, speaker_ids)
                total = total + self.config.centre * losses["centre"]
                if self.training:
                    everyone = gather_rows(embeddings.detach())
                    self.centre_loss.update(everyone, gather_rows(speaker_ids[:, None].float())[:, 0].long())
        return {"loss": total, **losses}
