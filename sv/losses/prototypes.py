"""Prototypical losses: each query is classified as one of the batch's prototypes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.losses.base import MetricLoss


def split_queries(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """First utterances of (speakers, utterances, dim) as queries, means of the others as prototypes, (speakers, dim) each.

    Raises
    ------
    ValueError
        If a speaker has one utterance only.
    """
    if embeddings.ndim != 3 or embeddings.shape[1] < 2:
        raise ValueError(
            f"a metric loss needs (speakers, utterances, dim) with 2 utterances or more, got {tuple(embeddings.shape)}"
        )
    return embeddings[:, 0], embeddings[:, 1:].mean(dim=1)


class PrototypeLoss(MetricLoss):
    """Cross-entropy over similarities of each query with all prototypes; a subclass defines `similarities`."""

    def similarities(self, queries: Tensor, prototypes: Tensor) -> Tensor:
        """Logits (queries, prototypes) of (queries, dim) against (prototypes, dim)."""
        raise NotImplementedError

    def forward(self, queries: Tensor, prototypes: Tensor) -> Tensor:
        """Mean loss of (n, dim) queries, of which i belongs to prototype i of (n, dim)."""
        logits = self.similarities(queries, prototypes)
        return F.cross_entropy(logits, torch.arange(len(queries), device=logits.device))

    def of_groups(self, embeddings: Tensor, draws: Tensor | None = None) -> Tensor:
        """Mean loss of (speakers, utterances, dim) embeddings, the first of each speaker as the query."""
        return self(*split_queries(embeddings))
