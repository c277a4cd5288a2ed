"""Centre loss."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sv.base.config import require


@dataclass(frozen=True, kw_only=True)
class CentreConfig:
    """Options of the centre loss.

    Attributes
    ----------
    rate : float
        Share of the way to the embeddings' mean that a centre moves, if it has many of them in a batch.
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        require(self, not_negative=("rate",))


class CentreLoss(nn.Module):
    """Half the mean squared distance of embeddings to their speakers' centres (Wen et al. 2016, ECCV, eq. 2 to 4).

    Centres are not parameters: `update` moves them towards the embeddings. The paper and the published RawNet code sum
    over the batch; a weight of theirs has to be multiplied by the batch size here.

    Parameters
    ----------
    dim, num_speakers : int
    config : CentreConfig
    """

    def __init__(self, dim: int, num_speakers: int, config: CentreConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("centres", torch.empty(num_speakers, dim).uniform_(-0.05, 0.05))

    def forward(self, embeddings: Tensor, speaker_ids: Tensor) -> Tensor:
        """Loss of (batch, dim) embeddings of the speakers (batch,)."""
        return 0.5 * (embeddings - self.centres[speaker_ids]).square().sum(dim=1).mean()

    @torch.no_grad()
    def update(self, embeddings: Tensor, speaker_ids: Tensor) -> None:
        """Move the centres: c_j by rate x sum(e_i - c_j) / (1 + n_j) over the n_j embeddings of speaker j."""
        sums = torch.zeros_like(self.centres).index_add_(0, speaker_ids, embeddings - self.centres[speaker_ids])
        counts = torch.bincount(speaker_ids, minlength=len(self.centres))
        self.centres += self.config.rate * sums / (1 + counts)[:, None]
