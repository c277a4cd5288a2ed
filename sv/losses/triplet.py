"""Triplet loss with mining within the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Triplet(nn.Module):
    """Hinge on squared distances of unit vectors (Schroff et al. 2015, arXiv:1503.03832, eq. 1), as in voxceleb_trainer.

    The anchor is a speaker's first utterance, the positive its second, the negative another speaker's second.

    Parameters
    ----------
    margin : float
        By which a negative must be further than the positive.
    hard_rank : int
        With probability `hard_prob` the negative is drawn from the `hard_rank` + 1 nearest ones, otherwise from all.
        Below 0 it is semi-hard: further than the positive, but by less than the margin; from all if there is none.
    hard_prob : float

    Raises
    ------
    ValueError
        For a negative margin or a probability outside [0, 1].
    """

    def __init__(self, margin: float = 0.1, hard_rank: int = 10, hard_prob: float = 0.5) -> None:
        super().__init__()
        if margin < 0:
            raise ValueError(f"margin must not be negative, got {margin}")
        if not 0 <= hard_prob <= 1:
            raise ValueError(f"hard_prob must be in [0, 1], got {hard_prob}")
        self.margin, self.hard_rank, self.hard_prob = margin, hard_rank, hard_prob

    def forward(self, embeddings: Tensor, draws: Tensor) -> Tensor:
        """Mean loss of a batch.

        Parameters
        ----------
        embeddings : (speakers, 2, dim) torch.Tensor
        draws : (speakers, 2) torch.Tensor
            Uniform in [0, 1): what decides the mining. An argument, so that all ranks mine alike.

        Raises
        ------
        ValueError
            If there are not two utterances of each of two speakers or more, or `hard_rank` asks for more negatives.
        """
        speakers, utterances = embeddings.shape[:2]
        if utterances != 2 or speakers < 2:
            raise ValueError(f"triplets need 2 utterances of 2 speakers or more, got {utterances} of {speakers}")
        if self.hard_rank >= speakers - 1:
            raise ValueError(f"hard_rank {self.hard_rank} needs {self.hard_rank + 2} speakers a batch, got {speakers}")
        anchors, positives = F.normalize(embeddings, dim=2).unbind(1)
        distances = 2 - 2 * anchors @ positives.T  # squared
        negatives = self.mine(distances.detach(), draws)
        return F.relu(distances.diagonal() - distances.gather(1, negatives[:, None])[:, 0] + self.margin).mean()

    def mine(self, distances: Tensor, draws: Tensor) -> Tensor:
        """The negative of each anchor, (speakers,), from squared distances to positives, (speakers, speakers)."""
        own = distances.diagonal()[:, None]
        is_own = torch.eye(len(distances), dtype=torch.bool, device=distances.device)
        nearest = distances.masked_fill(is_own, torch.inf).argsort(dim=1)  # the own one last
        if self.hard_rank >= 0:
            is_hard = draws[:, 0] < self.hard_prob
            count = torch.where(is_hard, self.hard_rank + 1, len(distances) - 1)
            rank = (draws[:, 1] * count).long()
        else:
            # Sorted by distance, those within the margin are a run that starts after those nearer than the positive.
            others = distances.masked_fill(is_own, torch.inf)
            first = (others <= own).sum(dim=1)
            count = (others < own + self.margin).sum(dim=1) - first
            first, count = first.where(count > 0, 0), count.where(count > 0, len(distances) - 1)
            rank = first + (draws[:, 1] * count).long()
        return nearest.gather(1, rank[:, None])[:, 0]
