"""The training step of NoiseLoRA-SV: speakers, distillation from a clean teacher, and the noise that was added."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sv.base.config import require
from sv.losses.aam_softmax import Tail
from sv.losses.distillation import masked_contrast
from sv.models.ecapa_tdnn import ECAPATDNN, centred
from sv.models.noise_lora import NoiseLoRA
from sv.train.distributed import gather_rows
from sv.train.steps.criteria import make_criterion, options_of
from sv.train.steps.protocol import StepModule, WaveformBatch, decay_groups


@dataclass(frozen=True, kw_only=True)
class NoiseLoRALossConfig:
    """Weights of the joint loss; the defaults are the published ones, and a term of weight 0 is left out.

    Attributes
    ----------
    speaker : float
        AAM-softmax of the embeddings.
    margin, scale : float
        Of AAM-softmax; margin in radians.
    tail : "continuous", "published" or "easy"
        Of AAM-softmax; see `sv.losses.AAMSoftmaxConfig`.
    distillation : float
        Each embedding against the teacher's of the batch's clean crops, over all ranks; see `sv.losses.distillation`.
    temperature : float
        Of the distillation.
    noise : float
        Mean squared error of the estimated noise's features.
    encoder_lr : float
        Factor on the learning rate of the ECAPA-TDNN, which starts from trained weights.
    """

    speaker: float = 1.0
    margin: float = 0.2
    scale: float = 30.0
    tail: Tail = "continuous"
    distillation: float = 1.0
    temperature: float = 0.07
    noise: float = 0.1
    encoder_lr: float = 0.1

    def __post_init__(self) -> None:
        options_of("aam", self)  # which checks them
        require(
            self, positive=("temperature",), not_negative=("speaker", "margin", "distillation", "noise", "encoder_lr")
        )
        if self.speaker + self.distillation == 0:
            raise ValueError("speaker or distillation must be positive, or no loss reaches the embedding")


class NoiseLoRAStep(StepModule):
    """Joint loss of augmented crops and their clean references (Gao et al. 2026, Interspeech).

    The teacher is the ECAPA-TDNN within the model as it was when training started: frozen, in evaluation, and left out of
    the result. The noise is what the augmentation added to the reference; a crop to which it added nothing has no share in the
    noise loss.

    Parameters
    ----------
    frontend : torch.nn.Module
    model : sv.models.noise_lora.NoiseLoRA
    config : NoiseLoRALossConfig
    num_speakers : int

    Raises
    ------
    ValueError
        If the model is another one.
    """

    needs_start = True

    def __init__(self, frontend: nn.Module, model: nn.Module, config: NoiseLoRALossConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config)
        if not isinstance(model, NoiseLoRA):
            raise ValueError('loss.type = "noise_lora" trains model.type = "noise_lora" alone')
        self.criteria = nn.ModuleDict()
        if config.speaker:
            self.criteria["speaker"] = make_criterion("aam", config, model.config.embedding_dim, num_speakers)
        if not config.noise:  # nothing reaches it
            model.noise.decoder.requires_grad_(False)
        self.teacher = None
        if config.distillation:
            self.teacher = ECAPATDNN(model.config.encoder).requires_grad_(False)
            self.follow_start()
        self.train(self.training)

    def follow_start(self) -> None:
        """Make the teacher the ECAPA-TDNN that is within the model now."""
        if self.teacher is not None:
            own = self.model.state_dict()
            self.teacher.load_state_dict({name: own[name] for name in self.teacher.state_dict()})

    def train(self, mode: bool = True) -> "NoiseLoRAStep":
        """Set the mode of all but the teacher."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def parameter_groups(self, decayed: str = "all") -> list[dict[str, Any]]:
        """Trained parameters; those of the ECAPA-TDNN in groups with a learning rate of their own."""
        named = self.model.named_parameters()
        encoder = {id(each) for name, each in named if not name.startswith(("adapters.", "noise."))}
        groups = []
        for group in decay_groups(self, decayed):
            for is_encoder, scale in ((False, 1.0), (True, self.config.encoder_lr)):
                chosen = [each for each in group["params"] if (id(each) in encoder) == is_encoder]
                groups.append({**group, "params": chosen, "lr_scale": scale})
        return [group for group in groups if group["params"]]

    def forward(self, batch: WaveformBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Losses of waveforms and their references: each term by name, unweighted, and their weighted sum as `loss`."""
        features, config, estimate = self.hear(batch.waveforms), self.config, None
        if config.noise:
            embeddings, estimate = self.model.embed_and_estimate(features)
        else:
            embeddings = self.model.embed(features)
        targets = None if self.teacher is None else self.targets(batch.references)
        with torch.autocast(features.device.type, enabled=False):
            losses = self._losses(embeddings.float(), targets, estimate, batch)
        return {"loss": sum(getattr(config, name) * value for name, value in losses.items()), **losses}

    @torch.no_grad()
    def targets(self, references: Tensor) -> Tensor:
        """The teacher's embeddings, (batch, dim), of clean (batch, samples)."""
        return self.teacher.embed(self.read(references))

    def _losses(
        self, embeddings: Tensor, targets: Tensor | None, estimate: Tensor | None, batch: WaveformBatch
    ) -> dict[str, Tensor]:
        losses = {}
        if self.config.speaker:
            losses["speaker"] = self.criteria["speaker"](embeddings, batch.speaker_ids, self.config.margin)
        if targets is not None:
            everyone = (gather_rows(rows) for rows in (embeddings, targets.float(), batch.speaker_ids))
            losses["distillation"] = masked_contrast(*everyone, self.config.temperature)
        if estimate is not None:
            losses["noise"] = self._noise_loss(estimate.float(), batch.waveforms - batch.references)
        return losses

    def _noise_loss(self, estimate: Tensor, noise: Tensor) -> Tensor:
        """Mean over all ranks' crops that have noise; this rank's share of it, times their number."""
        has_noise = noise.any(dim=1).to(estimate.dtype)
        errors = (estimate - centred(self.read(noise))).square().mean(dim=(1, 2))
        everyone = gather_rows(has_noise)
        return (errors * has_noise).sum() * (len(everyone) / len(has_noise)) / everyone.sum().clamp_min(1)
