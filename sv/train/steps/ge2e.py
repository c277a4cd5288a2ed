"""The step of generalised end-to-end training (Wan et al. 2018, arXiv:1710.10467)."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sv.base.seeding import generator
from sv.losses.ge2e import GE2E
from sv.losses.te2e import TE2E
from sv.train.distributed import gather_rows


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
        for name in ("min_samples", "criterion_grad_scale", "projection_grad_scale"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


class GE2EStep(nn.Module):
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

    def __init__(self, frontend: nn.Module, model: nn.Module, config: GE2ELossConfig, num_speakers: int) -> None:
        super().__init__()
        self.frontend, self.model, self.config = frontend, model, config
        self.criterion = TE2E() if config.criterion == "te2e" else GE2E(config.criterion)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The trained parameters; those whose gradients are scaled in groups of their own."""
        projections = self.model.projections() if hasattr(self.model, "projections") else []
        apart = {id(parameter) for parameter in projections}
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in trained if id(parameter) not in apart]},
            {"params": projections, "lr_scale": self.config.projection_grad_scale},
            {"params": list(self.criterion.parameters()), "lr_scale": self.config.criterion_grad_scale},
        ]
        return [group for group in groups if group["params"]]

    def forward(
        self, waveforms: Tensor, references: Tensor, speaker_ids: Tensor, epoch: float = 0.0
    ) -> dict[str, Tensor]:
        """Loss of (speakers * utterances, samples) waveforms, one speaker after the other: the sum over all utterances.

        Raises
        ------
        ValueError
            If the speakers have different numbers of utterances, or a single one, or crops are shorter than `min_samples`.
        """
        num_utterances = utterances_per_speaker(speaker_ids)
        rng = generator("ge2e", repr(epoch))  # keyed by the step alone: the same on all ranks
        if self.config.min_samples > waveforms.shape[1]:
            raise ValueError(
                f"[loss] min_samples is {self.config.min_samples}, but [train] crop_samples only {waveforms.shape[1]}"
            )
        if self.config.min_samples:
            waveforms = waveforms[:, : int(rng.integers(self.config.min_samples, waveforms.shape[1], endpoint=True))]
        embeddings = self.model.embed(self.frontend(waveforms))
        with torch.autocast(waveforms.device.type, enabled=False):
            everyone = gather_rows(embeddings.float()).unflatten(0, (-1, num_utterances))
            if isinstance(self.criterion, TE2E):
                loss = self.criterion(everyone, shift=int(rng.integers(1, max(2, len(everyone)))))
            else:
                loss = self.criterion(everyone)
        return {"loss": loss}


def utterances_per_speaker(speaker_ids: Tensor) -> int:
    """Utterances of each speaker of a batch, (speakers * utterances,); raises ValueError if they are not equally many."""
    _, counts = torch.unique_consecutive(speaker_ids, return_counts=True)
    if (counts != counts[0]).any() or len(counts) != len(speaker_ids.unique()):
        raise ValueError(
            'GE2E needs batches of equally many utterances a speaker, one speaker after the other: [batches] type = "speakers"'
        )
    return int(counts[0])
