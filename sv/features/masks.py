"""Masks over features in training (SpecAugment, Park et al. 2019, arXiv:1904.08779, without its warping of time)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sv.base.config import require


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Bands of mel bins and stretches of frames that an utterance is trained without.

    Attributes
    ----------
    prob : float in [0, 1]
        Share of the utterances that are masked; WeSpeaker's recipes have 0.6.
    mel_masks, frame_masks : int
        Of an utterance; masks may overlap.
    max_mels, max_frames : int
        Width of each is drawn uniformly from 0 up to this.
    """

    prob: float = 0.0
    mel_masks: int = 1
    max_mels: int = 8
    frame_masks: int = 1
    max_frames: int = 10

    def __post_init__(self) -> None:
        require(self, not_negative=("mel_masks", "max_mels", "frame_masks", "max_frames"))
        if not 0 <= self.prob <= 1:
            raise ValueError(f"prob must be in [0, 1], got {self.prob}")


def mask_features(features: Tensor, config: MaskConfig) -> Tensor:
    """Mask (batch, mels, frames) features by torch's generator: a masked value is its mel bin's mean over the utterance."""
    means = features.mean(dim=2, keepdim=True)
    batch, num_mels, num_frames = features.shape
    hidden = torch.zeros(batch, 1, 1, dtype=torch.bool, device=features.device)
    for _ in range(config.mel_masks):
        hidden = hidden | _stretches(features, num_mels, config.max_mels)[:, :, None]
    for _ in range(config.frame_masks):
        hidden = hidden | _stretches(features, num_frames, config.max_frames)[:, None, :]
    chosen = torch.rand(batch, 1, 1, device=features.device) < config.prob
    return torch.where(hidden & chosen, means, features)


def _stretches(features: Tensor, size: int, longest: int) -> Tensor:
    """Mark a stretch of `size` places for each utterance, (batch, size): its length, then its start, drawn uniformly."""
    draws = torch.rand(2, len(features), 1, device=features.device)
    length = (draws[0] * (min(longest, size) + 1)).floor()
    start = (draws[1] * (size - length + 1)).floor()
    places = torch.arange(size, device=features.device)
    return (places >= start) & (places < start + length)
