"""The step of embedding enhancement: from embeddings and targets to a weighted sum of losses."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.losses import SoftmaxLoss
from sv.losses.enhancement import Distance, centroid_triplet, cosine_loss, pair_distances, session_mmd

Term = Literal["mse", "mae", "cosine", "softmax", "triplet", "mmd"]


@dataclass(frozen=True, kw_only=True)
class EnhancementConfig:
    """What embeddings are trained to become.

    Attributes
    ----------
    terms : tuple of (name, weight)
        mse, mae, cosine: to the speaker's target. softmax: speaker classification. triplet: closer to the own target than
        to another speaker's. mmd: a pair's distance does not tell whether it is of one session.
    target : "B" or "C"
        See `sv.enhancement.targets`.
    leave_one_out : bool
        A target is made of the speaker's other utterances; else of all, the input among them, as in the published code.
    crops : int
        Average as many random segments of an utterance, a free simulation of short recordings; 0: all.
    noisy_copies : int
        Of each utterance, disturbed as [augment] says. An input is drawn from the copies and the clean utterance; the
        target is made of clean ones.
    triplet_margin : float, optional
        Of a hinge; without it the published difference.
    mmd_distance : "cosine" or "rms"
    mmd_sigma : float, optional
        Width of the kernel; without it the median of the batch's distances. Published: 1 and 0.1.
    """

    terms: tuple[tuple[Term, float], ...] = (("cosine", 1.0),)
    target: Literal["B", "C"] = "C"
    leave_one_out: bool = True
    crops: int = 0
    noisy_copies: int = 0
    triplet_margin: float | None = None
    mmd_distance: Distance = "cosine"
    mmd_sigma: float | None = None

    def __post_init__(self) -> None:
        names = [name for name, _ in self.terms]
        if not names or len(set(names)) < len(names) or min(weight for _, weight in self.terms) <= 0:
            raise ValueError(f"terms must be different losses with positive weights, got {self.terms}")
        if {"triplet", "mmd"} <= set(names):
            raise ValueError("triplet and mmd need different lists; train with one of them")
        if self.mmd_sigma is not None and not self.mmd_sigma > 0:
            raise ValueError(f"mmd_sigma must be positive, got {self.mmd_sigma}")
        for name in ("crops", "noisy_copies"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    @property
    def list_kind(self) -> Literal["normal", "triplet", "distribution"]:
        """The list that these terms train on."""
        names = {name for name, _ in self.terms}
        return "triplet" if "triplet" in names else "distribution" if "mmd" in names else "normal"


@dataclass(frozen=True, kw_only=True)
class LinearConfig:
    """A linear map of embeddings in closed form: what a network has to beat. All subtract the training set's mean.

    Attributes
    ----------
    kind : "mean", "lda" or "wccn"
        "mean": nothing else. "lda": the directions in which speakers differ most, each with unit variance within them.
        "wccn": the covariance within speakers becomes the identity (Hatch et al. 2006, Interspeech).
    dim : int
        That LDA keeps, or as many as there are, or one fewer than speakers.
    noisy_copies : int
        Of each utterance, trained on beside the clean one; see `EnhancementConfig`.
    """

    kind: Literal["mean", "lda", "wccn"] = "mean"
    dim: int = 200
    noisy_copies: int = 0

    def __post_init__(self) -> None:
        if self.dim < 1 or self.noisy_copies < 0:
            raise ValueError(f"dim must be positive and noisy_copies not negative, got {self.dim}, {self.noisy_copies}")

    @property
    def list_kind(self) -> Literal["normal"]:
        """The list that is trained on."""
        return "normal"


class EnhancementStep(nn.Module):
    """Losses of an embedding model; batches are those of `sv.enhancement.batches`.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : EnhancementConfig
    num_speakers : int
    """

    def __init__(self, frontend: nn.Module, model: nn.Module, config: EnhancementConfig, num_speakers: int) -> None:
        super().__init__()
        self.frontend, self.model, self.config = frontend, model, config
        self.criteria = nn.ModuleDict()
        if any(name == "softmax" for name, _ in config.terms):
            self.criteria["softmax"] = SoftmaxLoss(model.config.embedding_dim, num_speakers)

    def forward(
        self, waveforms: Tensor, references: Tensor, speaker_ids: Tensor, epoch: float = 0.0
    ) -> dict[str, Tensor]:
        """Losses of embeddings, their targets and speakers: each term unweighted by its name, their sum as `loss`.

        Parameters
        ----------
        waveforms : (batch, dim) or (pairs, 2, dim) torch.Tensor
            Embeddings.
        references : (batch, dim), (batch, 2, dim) or (pairs, 2, dim) torch.Tensor
        speaker_ids : (batch,) or (pairs, 2) torch.Tensor
        """
        outputs = self.model.embed(self.frontend(waveforms.flatten(0, -2)))
        with torch.autocast(waveforms.device.type, enabled=False):
            losses = self._losses(outputs.float(), references, speaker_ids)
        total = sum(weight * losses[name] for name, weight in self.config.terms)
        return {"loss": total, **losses}

    def _losses(self, outputs: Tensor, references: Tensor, speaker_ids: Tensor) -> dict[str, Tensor]:
        config, other = self.config, None
        if config.list_kind == "triplet":
            targets, other = references.unbind(1)
        else:
            targets = references.flatten(0, -2)
        speakers = speaker_ids
        if config.list_kind == "distribution":
            speakers = speaker_ids[:, 0].repeat_interleave(2)
        losses = {}
        for name, _ in config.terms:
            if name == "softmax":
                losses[name] = self.criteria["softmax"](outputs, speakers)
            elif name == "triplet":
                losses[name] = centroid_triplet(outputs, targets, other, config.triplet_margin)
            elif name == "mmd":
                distances = pair_distances(outputs.unflatten(0, (-1, 2)), config.mmd_distance)
                losses[name] = session_mmd(distances, speaker_ids[:, 1].bool(), speaker_ids[:, 0], config.mmd_sigma)
            else:
                losses[name] = {"mse": F.mse_loss, "mae": F.l1_loss, "cosine": cosine_loss}[name](outputs, targets)
        return losses
