"""Mixture consistency: estimates of speech and of what is behind it add up to what was heard.

The idea is that of Kim et al. 2026, "Mixture Consistency Learning for Robust Speaker Verification in Noisy Environments"
(github.com/kimho1wq/MCL-SV, train.py), who add complex spectra. Mel features have no phases: here powers are added, which are those
of the mixture but for the products of the two spectra, whose mean is zero.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def mixture_consistency(speech: Tensor, background: Tensor, mixture: Tensor, log_unit: float | None) -> Tensor:
    """Mean squared difference of the mixture and the sum of speech and background.

    No clean speech is needed, and none is aimed at: what the speaker is told by decides what counts as speech.

    Parameters
    ----------
    speech, background, mixture : (batch, mels, frames) torch.Tensor
        Features of one front end. A constant that is subtracted from a mel bin of all three, as its mean, changes nothing.
    log_unit : float or None
        How much these features rise where the power is e times as high; None for powers themselves.
    """
    if log_unit is None:
        return F.mse_loss(speech + background, mixture)
    return F.mse_loss(log_unit * torch.logaddexp(speech / log_unit, background / log_unit), mixture)
