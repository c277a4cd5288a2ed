"""Distillation of embeddings: a student's is to be told apart from all teachers' but its own."""

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_contrast(students: Tensor, teachers: Tensor, speaker_ids: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of each student against the teachers, of which its own row is the right one (InfoNCE).

    Other utterances of its speaker are no wrong ones, and are left out (Gao et al. 2026, NoiseLoRA-SV, eq. 6; the loss is van den
    Oord et al. 2018, arXiv:1807.03748, eq. 4).

    Parameters
    ----------
    students, teachers : (batch, dim) torch.Tensor
    speaker_ids : (batch,) torch.Tensor
    temperature : float
        Divides the cosines.
    """
    logits = F.normalize(students) @ F.normalize(teachers).T / temperature
    same = speaker_ids[:, None] == speaker_ids[None, :]
    same.fill_diagonal_(False)
    return F.cross_entropy(logits.masked_fill(same, -torch.inf), torch.arange(len(logits), device=logits.device))
