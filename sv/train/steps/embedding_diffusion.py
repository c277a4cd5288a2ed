"""The step of diffusion on embeddings: from a noisy utterance's embedding with noise added to the clean one's."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import require
from sv.train.steps.protocol import EmbeddingBatch, StepModule


@dataclass(frozen=True, kw_only=True)
class EmbeddingDiffusionLossConfig:
    """Inputs of the diffusion; its targets are the utterances' own clean embeddings, which needs no speaker labels.

    Attributes
    ----------
    noisy_copies : int
        Of each utterance, augmented as [augment] says. An input is drawn from the copies and the clean utterance.
    crops : int
        Average as many random segments of an utterance; 0: all.
    """

    target: ClassVar[Literal["utterance"]] = "utterance"
    leave_one_out: ClassVar[bool] = False
    list_kind: ClassVar[Literal["normal"]] = "normal"
    noisy_copies: int = 0
    crops: int = 0

    def __post_init__(self) -> None:
        require(self, not_negative=("noisy_copies", "crops"))


class EmbeddingDiffusionStep(StepModule):
    """Mean absolute error of the estimated clean embeddings (SEED; Nam et al. 2025, arXiv:2505.16798, and its code).

    Noise is added to the noisy utterance's embedding, up to a step drawn uniformly for each row, and the clean one is
    estimated. Embeddings are at the length that the sampler works on; with [features] normalise = false they are as the
    extractor gives them, as published, which is the same for extractors that end with a batch normalisation. All draws are
    from torch's generator of the embeddings' device.

    Parameters
    ----------
    frontend : torch.nn.Module
    model : sv.models.embedding_diffusion.EmbeddingDiffusion
    config : EmbeddingDiffusionLossConfig
    num_speakers : int
        Not used.
    """

    batches = ("shuffled",)
    reads = "embeddings"

    def __init__(
        self, frontend: nn.Module, model: nn.Module, config: EmbeddingDiffusionLossConfig, num_speakers: int = 0
    ) -> None:
        super().__init__(frontend, model, config)

    def forward(self, batch: EmbeddingBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """The loss of a batch, as `loss`."""
        noisy, clean = self._scaled(batch.embeddings), self._scaled(batch.targets)
        steps = torch.randint(self.model.config.diffusion_steps, noisy.shape[:1], device=noisy.device)
        estimate = self.model.estimate(self.model.diffuse(noisy, steps, torch.randn_like(noisy)), steps)
        with torch.autocast(noisy.device.type, enabled=False):
            return {"loss": F.l1_loss(estimate.float(), clean)}

    def _scaled(self, embeddings: Tensor) -> Tensor:
        inputs = self.read(embeddings)
        return self.model.scaled(inputs) if self.frontend.config.normalise else inputs
