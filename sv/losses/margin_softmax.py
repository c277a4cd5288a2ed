"""What the margin softmax losses share: cosines with class vectors, of which the target's is made harder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MarginSoftmax(nn.Module):
    """Cross-entropy of scaled cosines with the target's lowered; a subclass says how, in `shifted`.

    Parameters
    ----------
    dim, num_speakers : int
    scale : float
        Multiplies the cosines.
    subcenters : int
        Class vectors of a speaker, the nearest of which counts: noisy labels and odd recordings gather at another one
        (Deng et al. 2020, "Sub-center ArcFace", ECCV, eq. 3).

    Attributes
    ----------
    weight : (num_speakers * subcenters, dim) torch.nn.Parameter
        Speaker-major.

    Raises
    ------
    ValueError
        For a scale that is not positive or fewer than one sub-centre.
    """

    def __init__(self, dim: int, num_speakers: int, scale: float = 30.0, subcenters: int = 1) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale must be positive, got {scale}")
        if subcenters < 1:
            raise ValueError(f"subcenters must be at least 1, got {subcenters}")
        self.scale = scale
        self.subcenters = subcenters
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(num_speakers * subcenters, dim)))

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosine of (batch, dim) embeddings with each speaker's nearest class vector, (batch, num_speakers)."""
        cos = F.linear(F.normalize(embeddings), F.normalize(self.weight))
        return cos if self.subcenters == 1 else cos.unflatten(1, (-1, self.subcenters)).max(dim=2).values

    def shifted(self, target: Tensor, margin: float) -> Tensor:
        """The target's cosine, of any shape, made smaller by the margin."""
        raise NotImplementedError

    def forward(self, embeddings: Tensor, speaker_ids: Tensor, margin: float) -> Tensor:
        """Mean loss of (batch, dim) embeddings of the speakers (batch,)."""
        cos = self.cosines(embeddings)
        target = cos.gather(1, speaker_ids[:, None])  # (batch, 1)
        return F.cross_entropy(
            self.scale * cos.scatter(1, speaker_ids[:, None], self.shifted(target, margin)), speaker_ids
        )
