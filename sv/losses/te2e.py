"""Tuple-based end-to-end loss (Heigold et al. 2016, arXiv:1509.08062), which GE2E generalises."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.losses.ge2e import SMALLEST_SCALE


@dataclass(frozen=True, kw_only=True)
class TE2EConfig:
    """Options of TE2E.

    Attributes
    ----------
    cost : "sigmoid" or "logistic"
        "sigmoid": 1 - sigmoid(s) of a target tuple, sigmoid(s) of a nontarget one, as Wan et al. (2018, eq. 4) write it.
        "logistic": the negative logarithm of the right decision's probability, as Heigold et al. train.
    scale, bias : float
        Of the score s = scale * cosine + bias before training; both are learned, the scale is kept positive.
    """

    cost: Literal["sigmoid", "logistic"] = "sigmoid"
    scale: float = 10.0
    bias: float = -5.0


class TE2E(nn.Module):
    """Loss of tuples: one test utterance against the enrolment utterances of one speaker.

    Parameters
    ----------
    config : TE2EConfig
    """

    def __init__(self, config: TE2EConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = nn.Parameter(torch.tensor(config.scale))
        self.bias = nn.Parameter(torch.tensor(config.bias))

    def tuples(self, test: Tensor, enrolment: Tensor, is_target: Tensor) -> Tensor:
        """Sum of the tuples' costs.

        Parameters
        ----------
        test : (tuples, dim) torch.Tensor
        enrolment : (tuples, utterances, dim) torch.Tensor
        is_target : (tuples,) bool torch.Tensor
        """
        models = F.normalize(enrolment, dim=2).mean(dim=1)
        scores = self.scale.clamp(min=SMALLEST_SCALE) * F.cosine_similarity(test, models) + self.bias
        errors = torch.where(is_target, -scores, scores)  # the further above 0, the more wrong
        return (errors.sigmoid() if self.config.cost == "sigmoid" else F.softplus(errors)).sum()

    def forward(self, embeddings: Tensor, shift: int = 1) -> Tensor:
        """Loss of (speakers, utterances, dim) embeddings: two tuples per utterance.

        Utterance i of speaker j is tested against the others of its speaker, and against all but the i-th of speaker
        j + `shift`, in a circle.

        Raises
        ------
        ValueError
            If there are fewer than 2 utterances per speaker, or `shift` leads back to the same speaker.
        """
        num_speakers, num_utterances, dim = embeddings.shape
        if num_utterances < 2:
            raise ValueError("TE2E needs at least 2 utterances per speaker: with 1 there is nothing to enrol")
        if shift % num_speakers == 0:
            raise ValueError(f"shift {shift} pairs each of the {num_speakers} speakers with itself")
        others = torch.stack([torch.arange(num_utterances).roll(-i)[1:] for i in range(num_utterances)])
        groups = embeddings[:, others.to(embeddings.device)].flatten(
            0, 1
        )  # (speakers * utterances, utterances - 1, dim)
        strangers = groups.reshape(num_speakers, -1, *groups.shape[1:]).roll(-shift, dims=0).reshape(groups.shape)
        test, is_target = embeddings.reshape(-1, dim), torch.ones(len(groups), dtype=torch.bool, device=groups.device)
        return self.tuples(torch.cat([test, test]), torch.cat([groups, strangers]), torch.cat([is_target, ~is_target]))
