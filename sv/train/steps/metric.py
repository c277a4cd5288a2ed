"""The step of metric learning: losses over the utterances of a batch, grouped by speaker."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sv.losses import AngularPrototypical, Prototypical, SoftmaxLoss, Triplet, split_queries
from sv.train.distributed import gather_rows


@dataclass(frozen=True, kw_only=True)
class MetricConfig:
    """Which loss, over the batch of all ranks.

    Attributes
    ----------
    criterion : "angular_prototypical", "prototypical" or "triplet"
    softmax : float
        Weight of a speaker classification of all utterances beside it; 1 with "angular_prototypical" is the Clova
        baseline's loss (Heo et al. 2020, arXiv:2009.14153).
    margin, hard_rank, hard_prob
        Of "triplet"; see `sv.losses.Triplet`.
    """

    criterion: Literal["angular_prototypical", "prototypical", "triplet"] = "angular_prototypical"
    softmax: float = 0.0
    margin: float = 0.1
    hard_rank: int = 10
    hard_prob: float = 0.5

    def __post_init__(self) -> None:
        if self.softmax < 0:
            raise ValueError(f"softmax is a weight and must not be negative, got {self.softmax}")
        Triplet(self.margin, self.hard_rank, self.hard_prob)


class MetricStep(nn.Module):
    """Compare the batch's speakers with each other; needs batches of type "speakers".

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : MetricConfig
    num_speakers : int

    Notes
    -----
    Embeddings, and what decides the mining of triplets, are gathered over all ranks, so that a batch's negatives do not
    depend on the number of ranks. (voxceleb_trainer compares within each rank's share.)
    """

    def __init__(self, frontend: nn.Module, model: nn.Module, config: MetricConfig, num_speakers: int) -> None:
        super().__init__()
        self.frontend, self.model, self.config = frontend, model, config
        self.criteria = nn.ModuleDict()
        if config.criterion == "triplet":
            self.criteria["metric"] = Triplet(config.margin, config.hard_rank, config.hard_prob)
        else:
            self.criteria["metric"] = {
                "prototypical": Prototypical,
                "angular_prototypical": AngularPrototypical,
            }[config.criterion]()
        if config.softmax:
            self.criteria["softmax"] = SoftmaxLoss(model.config.embedding_dim, num_speakers)

    def forward(
        self, waveforms: Tensor, references: Tensor, speaker_ids: Tensor, epoch: float = 0.0
    ) -> dict[str, Tensor]:
        """Losses of (speakers * utterances, samples) waveforms, one speaker after the other.

        Raises
        ------
        ValueError
            If the batch is not made like that, or of one utterance a speaker.
        """
        embeddings = self.model.embed(self.frontend(waveforms))
        with torch.autocast(waveforms.device.type, enabled=False):
            return self._losses(embeddings.float(), speaker_ids)

    def _losses(self, embeddings: Tensor, speaker_ids: Tensor) -> dict[str, Tensor]:
        groups = by_speaker(embeddings, speaker_ids)
        everyone = gather_rows(groups)
        if self.config.criterion == "triplet":
            draws = gather_rows(torch.rand(len(groups), 2, device=embeddings.device))
            losses = {"metric": self.criteria["metric"](everyone, draws)}
        else:
            losses = {"metric": self.criteria["metric"](*split_queries(everyone))}
        if self.config.softmax:
            losses["softmax"] = self.criteria["softmax"](embeddings, speaker_ids)
            return {"loss": losses["metric"] + self.config.softmax * losses["softmax"], **losses}
        return {"loss": losses["metric"]}


def by_speaker(embeddings: Tensor, speaker_ids: Tensor) -> Tensor:
    """Group (speakers * utterances, dim) by speaker, (speakers, utterances, dim); raises ValueError if that cannot be."""
    count = int((speaker_ids == speaker_ids[0]).sum())
    ids = speaker_ids.unflatten(0, (-1, count)) if len(speaker_ids) % count == 0 else speaker_ids[:, None]
    if count < 2 or ids.shape[1] != count or not bool((ids == ids[:, :1]).all()):
        raise ValueError(
            "a metric loss compares several utterances of each speaker, one speaker after the other: "
            'use [batches] type = "speakers" with utterances_per_speaker of 2 or more'
        )
    return embeddings.unflatten(0, (-1, count))
