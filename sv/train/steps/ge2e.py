"""The step of generalised end-to-end training (Wan et al. 2018, arXiv:1710.10467)."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sv.base.config import require
from sv.base.seeding import generator
from sv.losses import GE2E, TE2E, GE2EConfig, TE2EConfig
from sv.train.config import TrainConfig
from sv.train.distributed import gather_rows
from sv.train.steps.metric import by_speaker
from sv.train.steps.protocol import StepModule, WaveformBatch


@dataclass(frozen=True, kw_only=True)
class GE2ELossConfig:
    """Criterion over batches of speakers.

    Attributes
    ----------
    criterion : "softmax", "contrast" or "te2e"
        The two forms of GE2E, or tuples.
    min_samples : int
        Every batch is cut to one length at 16 kHz, drawn from `min_samples` to the length of its crops; 0: not cut.
    criterion_grad_scale : float
        On the gradient of the criterion's scale and bias, after clipping.
    projection_grad_scale : float
        On that of the LSTM's projections, after clipping: 0.5 in the paper, 1 in the code on VCTK.
    """

    criterion: Literal["softmax", "contrast", "te2e"] = "softmax"
    min_samples: int = 0
    criterion_grad_scale: float = 0.01
    projection_grad_scale: float = 1.0

    def __post_init__(self) -> None:
        require(self, not_negative=("min_samples", "criterion_grad_scale", "projection_grad_scale"))


class GE2EStep(StepModule):
    """GE2E or TE2E over the batch of all ranks.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : GE2ELossConfig
    num_speakers : int
        Of the training set; the criterion has no output for each.

    Notes
    -----
    Gradient scales are learning rates of their own: like the published code, the loop clips the unscaled gradient, `scale`
    and `bias` included. With SGD both are the same; adaptive optimisers would undo a scale on the gradient itself.
    """

    batches = ("speakers",)

    def __init__(self, frontend: nn.Module, model: nn.Module, config: GE2ELossConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config)
        self.criterion = TE2E(TE2EConfig()) if config.criterion == "te2e" else GE2E(GE2EConfig(form=config.criterion))

    @classmethod
    def check(cls, loss: GE2ELossConfig, batches: Any, train: TrainConfig) -> None:
        """Raise ValueError if a speaker has a single utterance in a batch, or crops are shorter than `min_samples`."""
        if batches.utterances_per_speaker < 2:
            raise ValueError(
                'loss.type = "ge2e" compares the utterances of each speaker and needs batches.utterances_per_speaker '
                f"of 2 or more, got {batches.utterances_per_speaker}"
            )
        if loss.min_samples > train.crop_samples:
            raise ValueError(
                f"loss.min_samples is {loss.min_samples}, but train.crop_samples only {train.crop_samples}"
            )

    def parameter_groups(self, decayed: str = "all") -> list[dict[str, Any]]:
        """The trained parameters, all decayed; those whose gradients are scaled in groups of their own."""
        projections = self.model.projections()
        apart = {id(parameter) for parameter in projections}
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in trained if id(parameter) not in apart]},
            {"params": projections, "lr_scale": self.config.projection_grad_scale},
            {"params": list(self.criterion.parameters()), "lr_scale": self.config.criterion_grad_scale},
        ]
        return [group for group in groups if group["params"]]

    def forward(self, batch: WaveformBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Loss of the waveforms of speakers, one after the other, with equally many utterances: the sum over all of them."""
        waveforms = batch.waveforms
        rng = generator("ge2e", repr(epoch))  # keyed by the step alone: the same on all ranks
        if self.config.min_samples:
            waveforms = waveforms[:, : int(rng.integers(self.config.min_samples, waveforms.shape[1], endpoint=True))]
        embeddings = self.model.embed(self.hear(waveforms))
        with torch.autocast(embeddings.device.type, enabled=False):
            everyone = gather_rows(by_speaker(embeddings.float(), batch.speaker_ids))
            if isinstance(self.criterion, TE2E):
                loss = self.criterion(everyone, shift=int(rng.integers(1, max(2, len(everyone)))))
            else:
                loss = self.criterion(everyone)
        return {"loss": loss}
