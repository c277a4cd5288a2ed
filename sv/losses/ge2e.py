"""Generalised end-to-end loss (Wan et al. 2018, arXiv:1710.10467)."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST_SCALE = 1e-6


def centroid_cosines(embeddings: Tensor) -> Tensor:
    """Cosine of every utterance with every speaker's centroid, its own left out of its own speaker's (eqs. 1, 8, 9).

    Parameters
    ----------
    embeddings : (speakers, utterances, dim) torch.Tensor
        Need not be length-normalised; at least two utterances per speaker.

    Returns
    -------
    (speakers * utterances, speakers) torch.Tensor

    Raises
    ------
    ValueError
        If a speaker has one utterance, which leaves no centroid without it.

    Notes
    -----
    One matrix product. The centroid without an utterance points where the sum of all of them less that one does, so that
    nothing is looped over.
    """
    num_speakers, num_utterances, _ = embeddings.shape
    if num_utterances < 2:
        raise ValueError("GE2E needs at least 2 utterances per speaker: with 1 there is no centroid of the others")
    unit = F.normalize(embeddings, dim=2)
    sums = unit.sum(dim=1)  # (speakers, dim)
    cosines = unit.flatten(0, 1) @ F.normalize(sums, dim=1).t()
    without = F.normalize(sums[:, None] - unit, dim=2)
    own = (unit * without).sum(dim=2).reshape(-1, 1)
    speakers = torch.arange(num_speakers, device=unit.device).repeat_interleave(num_utterances)
    return cosines.scatter(1, speakers[:, None], own)


def softmax_loss(similarities: Tensor, own: Tensor) -> Tensor:
    """Sum over utterances of -S_own + log sum_k exp S_k (eq. 6); (utterances, speakers) and (utterances,)."""
    return F.cross_entropy(similarities, own, reduction="sum")


def contrast_loss(similarities: Tensor, own: Tensor) -> Tensor:
    """Sum over utterances of 1 - sigmoid(S_own) + max over the others of sigmoid(S_k) (eq. 7); shapes as above."""
    target = similarities.gather(1, own[:, None])
    hardest = similarities.scatter(1, own[:, None], -torch.inf).amax(dim=1)
    return (1 - target.sigmoid()).sum() + hardest.sigmoid().sum()


FORMS = {"softmax": softmax_loss, "contrast": contrast_loss}


@dataclass(frozen=True, kw_only=True)
class GE2EConfig:
    """Options of GE2E.

    Attributes
    ----------
    form : "softmax" or "contrast"
        The paper finds contrast better for one fixed phrase, softmax for any text.
    scale, bias : float
        w and b of eq. 5 before training. With the softmax form b cancels and never moves.
    """

    form: Literal["softmax", "contrast"] = "softmax"
    scale: float = 10.0
    bias: float = -5.0


class GE2E(nn.Module):
    """GE2E loss with a learned scale, kept positive, and a learned bias.

    Parameters
    ----------
    config : GE2EConfig
    """

    def __init__(self, config: GE2EConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = nn.Parameter(torch.tensor(config.scale))
        self.bias = nn.Parameter(torch.tensor(config.bias))

    def similarities(self, embeddings: Tensor) -> Tensor:
        """Scaled cosines (eq. 9) of (speakers, utterances, dim) embeddings: (speakers * utterances, speakers)."""
        return self.scale.clamp(min=SMALLEST_SCALE) * centroid_cosines(embeddings) + self.bias

    def forward(self, embeddings: Tensor) -> Tensor:
        """Loss of (speakers, utterances, dim) embeddings: the sum over all utterances, as in the paper, not the mean."""
        own = torch.arange(len(embeddings), device=embeddings.device).repeat_interleave(embeddings.shape[1])
        return FORMS[self.config.form](self.similarities(embeddings), own)
