"""The step of embedding enhancement: from embeddings and targets to a weighted sum of losses."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sv.base.config import require
from sv.losses import TargetLoss
from sv.losses.enhancement import Distance, centroid_triplet, pair_distances, session_mmd
from sv.train.steps.criteria import make_criterion, names_of, options_of
from sv.train.steps.protocol import EmbeddingBatch, StepModule

OF_LISTS = {"triplet": "triplet", "mmd": "distribution"}  # terms that need a list of their own


@dataclass(frozen=True, kw_only=True)
class EnhancementConfig:
    """Targets and losses of embeddings.

    Attributes
    ----------
    terms : tuple of (name, weight)
        mse, mae, cosine, log_distance, or any other `TargetLoss` of `sv.losses.LOSSES`: to the target. softmax: speaker
        classification. triplet: closer to the own target than to another speaker's. mmd: a pair's distance does not tell
        whether it is of one session.
    target : "B", "C" or "utterance"
        The speaker's, of two kinds, or the utterance's own clean embedding; see `sv.enhancement.targets`.
    leave_one_out : bool
        A target is made of the speaker's other utterances; else of all, the input among them, as in the published code.
        False with "utterance".
    crops : int
        Average as many random segments of an utterance, a free simulation of short recordings; 0: all.
    noisy_copies : int
        Of each utterance, augmented as [augment] says. An input is drawn from the copies and the clean utterance; the
        target is made of clean ones.
    triplet_margin : float, optional
        Of a hinge; without it the published difference.
    mmd_distance : "cosine" or "rms"
    mmd_sigma : float, optional
        Width of the kernel; without it the median of the batch's distances. Published: 1 and 0.1.
    distance_floor : float
        Of log_distance; see `sv.losses.enhancement.LogDistanceConfig`.
    """

    terms: tuple[tuple[str, float], ...] = (("cosine", 1.0),)
    target: Literal["B", "C", "utterance"] = "C"
    leave_one_out: bool = True
    crops: int = 0
    noisy_copies: int = 0
    triplet_margin: float | None = None
    mmd_distance: Distance = "cosine"
    mmd_sigma: float | None = None
    distance_floor: float = field(default=1e-3, metadata={"later": True})  # older runs do not tell it

    def __post_init__(self) -> None:
        names, known = [name for name, _ in self.terms], [*names_of(TargetLoss), "softmax", *OF_LISTS]
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"terms must be of {', '.join(map(repr, known))}, got {unknown[0]!r}")
        if not names or len(set(names)) < len(names) or min(weight for _, weight in self.terms) <= 0:
            raise ValueError(f"terms must be different losses with positive weights, got {self.terms}")
        if {"triplet", "mmd"} <= set(names):
            raise ValueError("triplet and mmd need different lists; train with one of them")
        if self.target == "utterance" and "triplet" in names:
            raise ValueError('triplet needs the target of another speaker, "B" or "C", got "utterance"')
        if self.target == "utterance" and self.leave_one_out:
            raise ValueError('leave_one_out must be false with the target "utterance", which is the utterance itself')
        require(self, not_negative=("crops", "noisy_copies"))
        options_of("log_distance", self)  # which checks them
        if self.mmd_sigma is not None:
            require(self, positive=("mmd_sigma",))

    @property
    def list_kind(self) -> Literal["normal", "triplet", "distribution"]:
        """The list that these terms train on."""
        return next((OF_LISTS[name] for name, _ in self.terms if name in OF_LISTS), "normal")


@dataclass(frozen=True, kw_only=True)
class LinearConfig:
    """A linear map of embeddings in closed form, the baseline of a network. All subtract the training set's mean.

    Attributes
    ----------
    kind : "mean", "lda" or "wccn"
        "mean": nothing else. "lda": the directions in which speakers differ most, each with unit variance within them.
        "wccn": the covariance within speakers becomes the identity (Hatch et al. 2006, Interspeech).
    dim : int
        That LDA keeps, or as many as there are, or one fewer than speakers.
    shrinkage : float
        Of WCCN, see `sv.scoring.wccn.train_wccn`.
    noisy_copies : int
        Of each utterance, trained on beside the clean one; see `EnhancementConfig`.
    """

    kind: Literal["mean", "lda", "wccn"] = "mean"
    dim: int = 200
    shrinkage: float = 0.0
    noisy_copies: int = 0

    def __post_init__(self) -> None:
        require(self, at_least_one=("dim",), not_negative=("shrinkage", "noisy_copies"))

    @property
    def list_kind(self) -> Literal["normal"]:
        """The list that is trained on."""
        return "normal"


class ClosedForm:
    """Stands for the step of a system that is fitted by `sv.enhancement.apply.fit_linear`; [batches] are not used."""

    batches = StepModule.batches
    adapts = False
    reads = "embeddings"
    check = StepModule.check


class EnhancementStep(StepModule):
    """Losses of an embedding model.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : EnhancementConfig
    num_speakers : int
    """

    batches = ("shuffled",)
    reads = "embeddings"

    def __init__(self, frontend: nn.Module, model: nn.Module, config: EnhancementConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config)
        self.criteria = nn.ModuleDict()
        for name, _ in config.terms:
            if name == "softmax":
                self.criteria[name] = make_criterion(name, config, model.config.embedding_dim, num_speakers)
            elif name not in OF_LISTS:
                self.criteria[name] = make_criterion(name, config)

    @classmethod
    def check(cls, loss: Any, batches: Any, train: Any) -> None:
        """Raise ValueError if inputs would be their own targets."""
        if loss.target == "utterance" and not (loss.crops or (loss.noisy_copies and batches.augment)):
            raise ValueError(
                'loss.target = "utterance" needs loss.noisy_copies and batches.augment, or loss.crops: without, each input is '
                "its own target"
            )

    def forward(self, batch: EmbeddingBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Losses of a batch: each term by name, unweighted, and their weighted sum as `loss`."""
        outputs = self.model.embed(self.read(batch.embeddings))
        targets = self.read(batch.targets) if self.config.target == "utterance" else batch.targets
        with torch.autocast(outputs.device.type, enabled=False):
            losses = {name: self._term(name, outputs.float(), targets, batch) for name, _ in self.config.terms}
        return {"loss": sum(weight * losses[name] for name, weight in self.config.terms), **losses}

    def _term(self, name: str, outputs: Tensor, targets: Tensor, batch: EmbeddingBatch) -> Tensor:
        config = self.config
        if name == "triplet":
            return centroid_triplet(outputs, targets, batch.other_targets, config.triplet_margin)
        if name == "mmd":
            distances = pair_distances(outputs.unflatten(0, (-1, 2)), config.mmd_distance)
            return session_mmd(distances, batch.same_session, batch.speaker_ids[::2], config.mmd_sigma)
        return self.criteria[name](outputs, batch.speaker_ids if name == "softmax" else targets)
