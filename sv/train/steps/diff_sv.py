"""The joint training step of Diff-SV."""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import require
from sv.losses.aam_softmax import Tail
from sv.models.diffusion import TIME_MARGIN, diffusion_loss
from sv.train.steps.criteria import make_criterion, options_of
from sv.train.steps.protocol import StepModule, WaveformBatch


@dataclass(frozen=True, kw_only=True)
class DiffSVLossConfig:
    """Weights of Diff-SV's joint loss, all from the first step on; the published ones are 1.

    Attributes
    ----------
    speaker : float
        AAM-softmax of the extractor's embeddings.
    margin, scale : float
        Of AAM-softmax; margin in radians.
    tail : "continuous", "published" or "easy"
        Of AAM-softmax; see `sv.losses.AAMSoftmaxConfig`.
    feature_mse : float
        Mean squared error of the enhancer's estimate against the features of the crop without augmentation.
    diffusion : float
        Denoising score matching, which trains the score network and, through the prior, the enhancer.
    num_steps, solver : int, "euler" or "exponential"
        Of the sampler in the training forward pass: calls of the score network without gradient, see
        `sv.models.diffusion.sample`.
    """

    speaker: float = 1.0
    margin: float = 0.2
    scale: float = 30.0
    tail: Tail = field(default="continuous", metadata={"later": True})  # older runs do not tell it
    feature_mse: float = 1.0
    diffusion: float = 1.0
    num_steps: int = 10
    solver: Literal["euler", "exponential"] = "euler"

    def __post_init__(self) -> None:
        if min(self.speaker, self.feature_mse, self.diffusion) <= 0:
            raise ValueError(
                "speaker, feature_mse and diffusion must be positive: each part of Diff-SV has its own loss"
            )
        options_of("aam", self)  # which checks them
        require(self, at_least_one=("num_steps",))


class DiffSVStep(StepModule):
    """Speaker classification, enhancement and diffusion losses of one batch (Kim et al. 2023, arXiv:2309.08320).

    The classification loss reaches the extractor and, through its second input map, the enhancer; the denoised features
    are sampled with the current weights and without gradient. The diffusion loss reaches the score network and the
    enhancer. All draws are from torch's generator of the waveforms' device.

    Parameters
    ----------
    frontend : torch.nn.Module
    model : sv.models.diff_sv.DiffSV
    config : DiffSVLossConfig
    num_speakers : int
    """

    def __init__(self, frontend: nn.Module, model: nn.Module, config: DiffSVLossConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config)
        self.criterion = make_criterion("aam", config, model.config.embedding_dim, num_speakers)
        nn.init.xavier_normal_(self.criterion.weight)

    def forward(self, batch: WaveformBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Losses of waveforms and their references: each term by name, unweighted, and their weighted sum as `loss`."""
        features, clean = self.hear(batch.waveforms), self.read(batch.references)
        prior = self.model.enhancer(features)
        noise = torch.randn_like(features)
        denoised = self.model.denoise(prior.detach(), noise, self.config.num_steps, self.config.solver)
        embeddings = self.model.extract(features, prior, denoised)
        times = torch.rand(len(features), device=features.device).clamp(TIME_MARGIN, 1 - TIME_MARGIN)
        diffusion = diffusion_loss(self.model.score, clean, prior, times, torch.randn_like(features))
        with torch.autocast(features.device.type, enabled=False):
            losses = {
                "speaker": self.criterion(embeddings.float(), batch.speaker_ids, self.config.margin),
                "feature_mse": F.mse_loss(prior.float(), clean),
                "diffusion": diffusion.float(),
            }
        return {"loss": sum(getattr(self.config, name) * value for name, value in losses.items()), **losses}
