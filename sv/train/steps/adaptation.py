"""Steps that make a trained model robust: its own embeddings of clean crops are the targets of augmented ones.

The teacher is the model as it was, the student the model that results; no speaker labels are needed. Norms keep the
statistics that they have, so that student and teacher are one function at the start.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from sv.base.config import require
from sv.losses import ClassifierLoss
from sv.losses.enhancement import cosine_loss
from sv.losses.mixture import mixture_consistency
from sv.models.changes import LowRankChanges
from sv.models.enhanced import Separated
from sv.models.output import Embedded
from sv.train.distributed import gather_rows
from sv.train.steps.criteria import check_name, make_criterion, options_of
from sv.train.steps.protocol import StepModule, WaveformBatch


@dataclass(frozen=True, kw_only=True)
class AdaptationConfig:
    """Weights of the joint loss; a term of weight 0 is left out.

    Attributes
    ----------
    cosine : float
        1 - the cosine of the student's embedding of the augmented crop and the teacher's of the clean one.
    similarity : float
        Mean squared difference of the batch's cosines, all rows with all, between the student's and the teacher's
        embeddings.
    speaker : float
        Classification of the student's embeddings as the training set's speakers: the only term with labels.
    speaker_type, margin, scale
        Of that term, as of `sv.train.steps.pairs.PairLossConfig`.
    held_out : tuple of (noise, SNR in dB)
        Conditions of the held-out speakers whose mean EER, with that of clean speech, picks the weights.
    """

    cosine: float = 1.0
    similarity: float = 0.0
    speaker: float = 0.0
    speaker_type: str = "aam"
    margin: float = 0.2
    scale: float = 30.0
    held_out: tuple[tuple[str, float], ...] = (("babble", 0.0), ("noise", 0.0), ("music", 0.0))

    def __post_init__(self) -> None:
        check_name("speaker_type", self.speaker_type, ClassifierLoss)
        options_of(self.speaker_type, self)  # which checks them
        require(self, not_negative=("cosine", "similarity", "speaker"))
        if self.cosine + self.similarity + self.speaker == 0:
            raise ValueError("cosine, similarity or speaker must be positive, or no loss reaches the embedding")


@dataclass(frozen=True, kw_only=True)
class FullConfig(AdaptationConfig):
    """Adaptation of all weights.

    Attributes
    ----------
    share : float in (0, 1]
        Of the trained weights in those that result; the rest is the teacher's (Wortsman et al. 2022, arXiv:2109.01903).
    """

    share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be in (0, 1], got {self.share}")


@dataclass(frozen=True, kw_only=True)
class AdaptersConfig(AdaptationConfig):
    """Adaptation by changes of low rank, which are added to the weights.

    Attributes
    ----------
    rank : int
    """

    rank: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, at_least_one=("rank",))


@dataclass(frozen=True, kw_only=True)
class FrontendConfig(AdaptationConfig):
    """Adaptation by a network that enhances the features of the frozen extractor.

    Attributes
    ----------
    feature_mse : float
        Mean squared error of the enhanced features against those of the crop without augmentation.
    mixture : float
        `sv.losses.mixture.mixture_consistency` of the enhanced features and the background, which needs [model] background.
    """

    feature_mse: float = 0.0
    mixture: float = field(default=0.0, metadata={"later": True})  # older runs do not tell it

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, not_negative=("feature_mse", "mixture"))


@dataclass(frozen=True, kw_only=True)
class WCCNConfig:
    """Adaptation by an affine map of the embeddings, in closed form: the only one that needs speaker labels.

    Attributes
    ----------
    shrinkage : float, at least 0
        See `sv.scoring.wccn.train_wccn`.
    held_out : tuple of (noise, SNR in dB)
        As of `AdaptationConfig`; nothing is chosen by them here.
    """

    shrinkage: float = 1.0
    held_out: tuple[tuple[str, float], ...] = (("babble", 0.0), ("noise", 0.0), ("music", 0.0))

    def __post_init__(self) -> None:
        require(self, not_negative=("shrinkage",))


class AdaptationStep(StepModule):
    """Base of the steps: the joint loss of student and teacher.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : AdaptationConfig
    num_speakers : int
    """

    adapts = True

    def __init__(self, frontend: nn.Module, model: nn.Module, config: AdaptationConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config)
        self.criteria = nn.ModuleDict()
        if config.speaker:
            sizes = model.config.embedding_dim, num_speakers
            self.criteria["speaker"] = make_criterion(config.speaker_type, config, *sizes)

    @classmethod
    def check(cls, loss: Any, batches: Any, train: Any) -> None:
        """Raise ValueError if training were to start from anything else than the extractor."""
        if train.initial:
            raise ValueError(
                f"train.initial is {train.initial!r}, but an adaptation starts from --extractor; remove it"
            )

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Make teacher and student the model that has these weights."""
        raise NotImplementedError

    def targets(self, features: Tensor) -> Tensor:
        """The teacher's embeddings of (batch, mels, frames) features."""
        raise NotImplementedError

    def student(self, features: Tensor) -> Embedded | Separated:
        """The student's embeddings of (batch, mels, frames) features, enhanced features beside them if there are any."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> "AdaptationStep":
        """Set the mode of what is trained; the model itself stays as it is in use."""
        super().train(mode)
        as_in_use(self.model)
        return self

    def forward(self, batch: WaveformBatch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Losses of a batch: each weighted term by name, unweighted, and their weighted sum as `loss`."""
        clean = self.read(batch.references)
        with torch.no_grad():
            targets = self.targets(clean)
        heard = self.hear(batch.waveforms)
        found = self.student(heard)
        with torch.autocast(clean.device.type, enabled=False):
            losses = self._losses(found, targets.float(), batch) | self._feature_losses(found, clean, heard)
        return {"loss": sum(getattr(self.config, name) * value for name, value in losses.items()), **losses}

    def _feature_losses(self, found: Embedded | Separated, clean: Tensor, heard: Tensor) -> dict[str, Tensor]:
        """Losses of estimated features; none here."""
        return {}

    def _losses(self, found: Embedded | Separated, targets: Tensor, batch: WaveformBatch) -> dict[str, Tensor]:
        embeddings, config, losses = found.embedding.float(), self.config, {}
        if config.cosine:
            losses["cosine"] = cosine_loss(embeddings, targets)
        if config.similarity:
            losses["similarity"] = F.mse_loss(*(cosines(gather_rows(rows)) for rows in (embeddings, targets)))
        if config.speaker:
            losses["speaker"] = self.criteria["speaker"](embeddings, batch.speaker_ids, config.margin)
        return losses


class FullAdaptation(AdaptationStep):
    """Train all weights; the result is a mean of them and the teacher's."""

    def __init__(self, frontend: nn.Module, model: nn.Module, config: FullConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config, num_speakers)
        self.teacher = copy.deepcopy(model).requires_grad_(False)

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Make teacher and student the model that has these weights."""
        self.model.load_state_dict(weights)
        self.teacher.load_state_dict(weights)

    def train(self, mode: bool = True) -> "FullAdaptation":
        """Keep teacher and student as they are in use."""
        super().train(mode)
        as_in_use(self.teacher)
        return self

    def targets(self, features: Tensor) -> Tensor:
        """The teacher's embeddings of (batch, mels, frames) features."""
        return self.teacher.embed(features)

    def student(self, features: Tensor) -> Embedded:
        """The student's embeddings of (batch, mels, frames) features."""
        return Embedded(self.model.embed(features), None)

    def result(self) -> nn.Module:
        """The model whose weights are `share` times the trained ones and the rest the teacher's."""
        if self.config.share == 1:
            return self.model
        mixed = copy.deepcopy(self.teacher)
        with torch.no_grad():
            for own, trained in zip(mixed.parameters(), self.model.parameters(), strict=True):
                own.lerp_(trained, self.config.share)
        return mixed


class AdapterAdaptation(AdaptationStep):
    """Train changes of low rank; the result has them in its weights."""

    def __init__(self, frontend: nn.Module, model: nn.Module, config: AdaptersConfig, num_speakers: int) -> None:
        super().__init__(frontend, model.requires_grad_(False), config, num_speakers)
        self.changes = LowRankChanges(model, config.rank)

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Make the model, which is not trained itself, that of these weights."""
        self.model.load_state_dict(weights)

    def targets(self, features: Tensor) -> Tensor:
        """Embeddings of (batch, mels, frames) features without the changes."""
        return self.model.embed(features)

    def student(self, features: Tensor) -> Embedded:
        """Embeddings of (batch, mels, frames) features with the changes."""
        return functional_call(self.model, self.changes.changed(self.model), (features,))

    def result(self) -> nn.Module:
        """The model with the changes added to its weights."""
        merged = copy.deepcopy(self.model)
        with torch.no_grad():
            changed = self.changes.changed(merged)
            for name, parameter in merged.named_parameters():
                parameter.copy_(changed[name])
        return merged


class FrontendAdaptation(AdaptationStep):
    """Train the enhancing network of a `sv.models.enhanced.EnhancedNetwork`; its extractor is the teacher."""

    def __init__(self, frontend: nn.Module, model: nn.Module, config: FrontendConfig, num_speakers: int) -> None:
        super().__init__(frontend, model, config, num_speakers)
        model.extractor.requires_grad_(False)

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Make the extractor, which is not trained, that of these weights."""
        self.model.extractor.load_state_dict(weights)

    def train(self, mode: bool = True) -> "FrontendAdaptation":
        """Set the mode of the enhancing network, whose norms learn statistics; the extractor stays as it is in use."""
        super().train(mode)
        self.model.enhancer.train(mode)
        if self.model.background is not None:
            self.model.background.train(mode)
        return self

    def targets(self, features: Tensor) -> Tensor:
        """The extractor's embeddings of (batch, mels, frames) features as they are."""
        return self.model.extractor.embed(features)

    def student(self, features: Tensor) -> Separated:
        """Embeddings of the enhanced (batch, mels, frames) features, these, and the background."""
        return self.model.separate(features)

    def _feature_losses(self, found: Separated, clean: Tensor, heard: Tensor) -> dict[str, Tensor]:
        losses, enhanced = {}, found.enhanced.float()
        if self.config.feature_mse:
            losses["feature_mse"] = F.mse_loss(enhanced, clean)
        if self.config.mixture:
            parts = enhanced, found.background.float()
            losses["mixture"] = mixture_consistency(*parts, heard, self.frontend.log_unit)
        return losses


class ClosedFormAdaptation(AdaptationStep):
    """Stands for the step of a map that `sv.adaptation.closed_form` fits."""


def cosines(rows: Tensor) -> Tensor:
    """Cosines of (n, dim) rows with each other, (n, n)."""
    unit = F.normalize(rows)
    return unit @ unit.T


def as_in_use(model: nn.Module) -> None:
    """Set a model to evaluation, but for recurrent layers, whose gradients cuDNN computes in training mode only."""
    model.eval()
    for part in model.modules():
        if isinstance(part, nn.RNNBase):
            part.train()
