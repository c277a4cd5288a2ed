"""The steps of RawNet1 and RawNet2."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.losses import CentreLoss, NormSoftmaxLoss, between_speaker
from sv.models.blocks import initialise
from sv.models.rawnet1 import initialise_keras
from sv.train.distributed import gather_rows


@dataclass(frozen=True, kw_only=True)
class NormSoftmaxConfig:
    """Classification of embeddings scaled to one norm.

    Attributes
    ----------
    norm : float
    """

    norm: float = 10.0

    def __post_init__(self) -> None:
        if not self.norm > 0:
            raise ValueError(f"norm must be positive, got {self.norm}")


class NormSoftmaxStep(nn.Module):
    """Classify every utterance by its embedding's direction (RawNet2, and the PyTorch port of RawNet1).

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : NormSoftmaxConfig
    num_speakers : int
    """

    def __init__(self, frontend: nn.Module, model: nn.Module, config: NormSoftmaxConfig, num_speakers: int) -> None:
        super().__init__()
        self.frontend, self.model = frontend, model
        self.criterion = NormSoftmaxLoss(model.config.embedding_dim, num_speakers, config.norm)
        self.criterion.apply(initialise)

    def forward(
        self, waveforms: Tensor, references: Tensor, speaker_ids: Tensor, epoch: float = 0.0
    ) -> dict[str, Tensor]:
        """Loss of (batch, samples) waveforms of the speakers (batch,)."""
        embeddings = self.model.embed(self.frontend(waveforms))
        with torch.autocast(waveforms.device.type, enabled=False):
            return {"loss": self.criterion(embeddings.float(), speaker_ids)}


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
        if min(self.between_speaker, self.centre) < 0:
            raise ValueError(f"loss weights must not be negative, got {self}")


class RawNet1Step(nn.Module):
    """Classification without bias, between-speaker loss and centre loss (Jung et al. 2019, arXiv:1904.08104, section 3).

    Weight decay is for kernels alone, as Keras' regularisers have it. Those add wd |w|^2 to the loss: half of our
    `weight_decay`.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : RawNet1LossConfig
    num_speakers : int
    """

    def __init__(self, frontend: nn.Module, model: nn.Module, config: RawNet1LossConfig, num_speakers: int) -> None:
        super().__init__()
        self.frontend, self.model, self.config = frontend, model, config
        dim = model.config.embedding_dim
        self.classifier = nn.Linear(dim, num_speakers)
        initialise_keras(self.classifier)
        self.classifier.bias = None
        self.centre_loss = CentreLoss(dim, num_speakers) if config.centre else None

    def parameter_groups(self) -> list[dict]:
        """Kernels, decayed, and the rest."""
        parameters = list(self.parameters())
        kernels = [parameter for parameter in parameters if parameter.ndim > 1]
        return [{"params": kernels}, {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}]

    def forward(
        self, waveforms: Tensor, references: Tensor, speaker_ids: Tensor, epoch: float = 0.0
    ) -> dict[str, Tensor]:
        """Losses of (batch, samples) waveforms: each term by name, unweighted, and their sum as `loss`."""
        embeddings = self.model.embed(self.frontend(waveforms))
        with torch.autocast(waveforms.device.type, enabled=False):
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
