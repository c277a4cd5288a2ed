"""Contract between the training loop and the steps, and the batches that steps are fed with."""

from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor, nn

from sv.features.masks import MaskConfig, mask_features


class Batch(Protocol):
    """A batch as the loop sees it: moved to a device, named in errors, and otherwise passed through.

    Attributes
    ----------
    utterances : tuple of str
    """

    utterances: tuple[str, ...]

    def to(self, device: torch.device) -> Self:
        """Move the tensors to a device."""


class WaveformBatch(Batch, Protocol):
    """Crops of utterances; `sv.data.dataset.Batch`.

    Attributes
    ----------
    waveforms, references : (batch, samples) torch.Tensor
        Augmented or not, and the same crops without augmentation.
    speaker_ids : (batch,) torch.Tensor
    """

    waveforms: Tensor
    references: Tensor
    speaker_ids: Tensor


class EmbeddingBatch(Batch, Protocol):
    """Embeddings and their targets; `sv.enhancement.batches.EmbeddingBatch`.

    Attributes
    ----------
    embeddings, targets : (batch, dim) torch.Tensor
    speaker_ids : (batch,) torch.Tensor
    other_targets : (batch, dim) torch.Tensor, optional
        Targets of other speakers.
    same_session : (batch / 2,) bool torch.Tensor, optional
        True where rows 2i and 2i + 1 are of one session.
    """

    embeddings: Tensor
    targets: Tensor
    speaker_ids: Tensor
    other_targets: Tensor | None
    same_session: Tensor | None


class Step(Protocol):
    """A step as the loop sees it: from a batch to its losses; also a torch.nn.Module.

    Attributes
    ----------
    model : torch.nn.Module
        What is trained, or part of it.
    """

    model: nn.Module

    def __call__(self, batch: Batch, epoch: float = 0.0) -> dict[str, Tensor]:
        """Losses of a batch by name, `loss` among them; `epoch` counts those done so far, with fractions."""

    def parameter_groups(self, decayed: str) -> list[dict[str, Any]]:
        """Groups for the optimiser, which may set `weight_decay`, and `lr_scale`, a factor on the learning rate."""

    def after_backward(self) -> None:
        """Change gradients before they are clipped."""

    def result(self) -> nn.Module:
        """Model to evaluate and to save in best.pt, of the architecture of `model`."""


class StepModule(nn.Module):
    """Base of the steps: front end, model and criteria in one module, so that DDP sees every parameter.

    Parameters
    ----------
    frontend, model : torch.nn.Module
    config : dataclass
        The [loss] table.

    Attributes
    ----------
    batches : tuple of str
        Types of [batches] that it can be fed with.
    reads : "waveforms" or "embeddings"
        Embeddings come from [features] type = "embedding".
    adapts : bool
        True of a step that starts from a trained model; see `sv.adaptation`.
    needs_start : bool
        True of a step that is nothing without weights to start from: [train] initial, or `--initial`.
    """

    batches: ClassVar[tuple[str, ...]] = ("pairs", "speakers", "shuffled")
    reads: ClassVar[Literal["waveforms", "embeddings"]] = "waveforms"
    adapts: ClassVar[bool] = False
    needs_start: ClassVar[bool] = False

    def __init__(self, frontend: nn.Module, model: nn.Module, config: Any = None) -> None:
        super().__init__()
        self.frontend, self.model, self.config = frontend, model, config
        self.masks = MaskConfig()  # none, unless the training sets others

    @classmethod
    def check(cls, loss: Any, batches: Any, train: Any) -> None:
        """Raise ValueError naming the keys, if the [loss], [batches] and [train] records do not go together."""

    def follow_start(self) -> None:
        """Take over what the step keeps of the weights that training starts from, after others were given to its model."""

    def read(self, inputs: Tensor) -> Tensor:
        """Features of waveforms, or embeddings as they are, by the front end: in float32 whatever the network computes in."""
        with torch.autocast(inputs.device.type, enabled=False):
            return self.frontend(inputs)

    def hear(self, inputs: Tensor) -> Tensor:
        """Features as of `read`, with the masks of the training."""
        features = self.read(inputs)
        return mask_features(features, self.masks) if self.training and self.masks.prob else features

    def parameter_groups(self, decayed: str = "all") -> list[dict[str, Any]]:
        """All parameters, with and without weight decay; see `TrainConfig.decayed`."""
        return decay_groups(self, decayed)

    def after_backward(self) -> None:
        """Leave the gradients as they are."""

    def result(self) -> nn.Module:
        """The model itself."""
        return self.model


def decay_groups(module: nn.Module, decayed: str) -> list[dict[str, Any]]:
    """Trainable parameters with weight decay, and those without if there are any; see `TrainConfig.decayed`."""

    def decays(name: str, parameter: nn.Parameter) -> bool:
        if decayed == "matrices":
            return parameter.numel() > max(parameter.shape, default=1)
        return decayed == "all" or "bn" not in name

    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups[decays(name, parameter)].append(parameter)
    exempt = [{"params": groups[False], "weight_decay": 0.0}] if groups[False] else []
    return [{"params": groups[True]}, *exempt]
