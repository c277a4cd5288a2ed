"""Triplet loss with mining within the batch."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.base.config import require
from sv.losses.base import MetricLoss


@dataclass(frozen=True, kw_only=True)
class TripletConfig:
    """Options of the triplet loss.

    Attributes
    ----------
    margin : float
        By which a negative must be further than the positive.
    hard_rank : int
        With probability `hard_prob` the negative is drawn from the `hard_rank` + 1 nearest ones, otherwise from all.
        Below 0 it is semi-hard: further than the positive, but by less than the margin; from all if there is none.
    hard_prob : float
    """

    margin: float = 0.1
    hard_rank: int = 10
    hard_prob: float = 0.5

    def __post_init__(self) -> None:
        require(self, not_negative=("margin",))
        if not 0 <= self.hard_prob <= 1:
            raise ValueError(f"hard_prob must be in [0, 1], got {self.hard_prob}")


class Triplet(MetricLoss):
    """Hinge on squared distances of unit vectors (Schroff et al. 2015, arXiv:1503.03832, eq. 1), as in voxceleb_trainer.

    The anchor is a speaker's first utterance, the positive its second, the negative another speaker's second.

    Parameters
    ----------
    config : TripletConfig
    """

    needs_draws = True

    def __init__(self, config: TripletConfig) -> None:
        super().__init__(config)

    @classmethod
    def check_groups(cls, config: TripletConfig, speakers: int, utterances: int) -> None:
        """Raise ValueError unless there are 2 utterances of 2 speakers or more, and enough speakers for `hard_rank`."""
        if utterances != 2 or speakers < 2:
            raise ValueError(f"triplets need 2 utterances of 2 speakers or more, got {utterances} of {speakers}")
        if config.hard_rank >= speakers - 1:
            needed = config.hard_rank + 2
            raise ValueError(f"hard_rank {config.hard_rank} needs {needed} speakers per batch, got {speakers}")

    def of_groups(self, embeddings: Tensor, draws: Tensor) -> Tensor:
        """Mean loss of a batch.

        Parameters
        ----------
        embeddings : (speakers, 2, dim) torch.Tensor
        draws : (speakers, 2) torch.Tensor
            Uniform in [0, 1); they decide the mining.

        Raises
        ------
        ValueError
            As `check_groups`.
        """
        self.check_groups(self.config, *embeddings.shape[:2])
        anchors, positives = F.normalize(embeddings, dim=2).unbind(1)
        distances = 2 - 2 * anchors @ positives.T  # squared
        negatives = self.mine(distances.detach(), draws)
        return F.relu(distances.diagonal() - distances.gather(1, negatives[:, None])[:, 0] + self.config.margin).mean()

    def mine(self, distances: Tensor, draws: Tensor) -> Tensor:
        """The negative of each anchor, (speakers,), from squared distances to positives, (speakers, speakers)."""
        config, own = self.config, distances.diagonal()[:, None]
        is_own = torch.eye(len(distances), dtype=torch.bool, device=distances.device)
        nearest = distances.masked_fill(is_own, torch.inf).argsort(dim=1)  # the own one last
        if config.hard_rank >= 0:
            is_hard = draws[:, 0] < config.hard_prob
            count = torch.where(is_hard, config.hard_rank + 1, len(distances) - 1)
            rank = (draws[:, 1] * count).long()
        else:
            # Sorted by distance, those within the margin are a run that starts after those nearer than the positive.
            others = distances.masked_fill(is_own, torch.inf)
            first = (others <= own).sum(dim=1)
            count = (others < own + config.margin).sum(dim=1) - first
            first, count = first.where(count > 0, 0), count.where(count > 0, len(distances) - 1)
            rank = first + (draws[:, 1] * count).long()
        return nearest.gather(1, rank[:, None])[:, 0]
