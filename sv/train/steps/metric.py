"""The step of metric learning: losses over the utterances of a batch, grouped by speaker."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sv.losses import LOSSES, MetricLoss
from sv.train.config import TrainConfig
from sv.train.distributed import gather_rows
from sv.train.steps.criteria import CriterionConfig, make_criterion, options_of
from sv.train.steps.protocol import StepModule, WaveformBatch


@dataclass(frozen=True, kw_only=True)
class MetricConfig(CriterionConfig):
    """The loss over the batch of all ranks.

    Attributes
    ----------
    criterion : str
        "angular_prototypical", "prototypical", "triplet" or any other `MetricLoss` of `sv.losses.LOSSES`.
    softmax : float
        Weight of a speaker classification of all utterances beside it; 1 with "angular_prototypical" is the Clova
        baseline's loss (Heo et al. 2020, arXiv:2009.14153).
    margin, hard_rank, hard_prob
        Of "triplet"; see `sv.losses.TripletConfig`.
    """

    kind = MetricLoss
    criterion: str = "angular_prototypical"
    softmax: float = 0.0
    margin: float = 0.1
    hard_rank: int = 10
    hard_prob: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        options_of("triplet", self)  # checked whatever the criterion is
        if self.softmax < 0:
            raise ValueError(f"softmax is a weight and must not be negative, got {self.softmax}")


class MetricStep(StepModule):
    """Compare the batch's speakers with each other.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : MetricConfig
    num_speakers : int

    Notes
    -----
    Embeddings, and the draws of the mining of triplets, are gathered over all ranks, so that a batch's negatives do not
    depend on the number of ranks. (voxceleb_trainer compares within each rank's share.)
    """

    batches = ("speakers",)

    def __init__(self, frontend: nn.Module, model: nn.Module, config: MetricConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config)
        self.criteria = nn.ModuleDict({"metric": make_criterion(config.criterion, config)})
        if config.softmax:
            self.criteria["softmax"] = make_criterion("softmax", config, model.config.embedding_dim, num_speakers)

    @classmethod
    def check(cls, loss: MetricConfig, batches: Any, train: TrainConfig) -> None:
        """Raise ValueError if the criterion cannot compare so many speakers and utterances."""
        speakers, utterances = batches.speakers_per_batch, batches.utterances_per_speaker
        try:
            LOSSES[loss.criterion][1].check_groups(options_of(loss.criterion, loss), speakers, utterances)
        except ValueError as error:
            raise ValueError(
                f'loss.criterion = "{loss.criterion}" does not go with batches.speakers_per_batch = {speakers} and '
                f"batches.utterances_per_speaker = {utterances}: {error}"
            ) from error

    def forward(self, batch: WaveformBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Losses of the waveforms of speakers, one after the other, with equally many utterances."""
        embeddings = self.model.embed(self.hear(batch.waveforms))
        with torch.autocast(embeddings.device.type, enabled=False):
            return self._losses(embeddings.float(), batch.speaker_ids)

    def _losses(self, embeddings: Tensor, speaker_ids: Tensor) -> dict[str, Tensor]:
        groups, criterion = by_speaker(embeddings, speaker_ids), self.criteria["metric"]
        everyone, draws = gather_rows(groups), None
        if criterion.needs_draws:
            draws = gather_rows(torch.rand(len(groups), 2, device=embeddings.device))
        losses = {"metric": criterion.of_groups(everyone, draws)}
        if self.config.softmax:
            losses["softmax"] = self.criteria["softmax"](embeddings, speaker_ids)
            return {"loss": losses["metric"] + self.config.softmax * losses["softmax"], **losses}
        return {"loss": losses["metric"]}


def by_speaker(embeddings: Tensor, speaker_ids: Tensor) -> Tensor:
    """Group (speakers * utterances, dim) embeddings by speaker, (speakers, utterances, dim).

    Batches of type "speakers" are in this order: one speaker after the other, with equally many utterances.
    """
    return embeddings.unflatten(0, (-1, int((speaker_ids == speaker_ids[0]).sum())))
