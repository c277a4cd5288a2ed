"""Masks over features in training (SpecAugment, Park et al. 2019, arXiv:1904.08779, without its warping of time)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchaudio.functional import mask_along_axis_iid

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
    masked = features - means
    num_mels, num_frames = masked.shape[1:]
    for _ in range(config.mel_masks):
        masked = mask_along_axis_iid(masked, min(config.max_mels, num_mels), 0.0, axis=1)
    for _ in range(config.frame_masks):
        masked = mask_along_axis_iid(masked, min(config.max_frames, num_frames), 0.0, axis=2)
    chosen = torch.rand(len(features), 1, 1, device=features.device) < config.prob
    return torch.where(chosen, masked + means, features)
