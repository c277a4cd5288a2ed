"""Speaker classification and the angular prototypical loss together."""

from torch import Tensor, nn

from sv.losses.angular_prototypical import AngularPrototypical
from sv.losses.prototypes import split_queries
from sv.losses.softmax import SoftmaxLoss


class SoftmaxPrototypical(nn.Module):
    """Softmax of all utterances plus the angular prototypical loss, 1:1 (Heo et al. 2020, arXiv:2009.14153, section 3)."""

    def __init__(self, dim: int, num_speakers: int) -> None:
        super().__init__()
        self.softmax = SoftmaxLoss(dim, num_speakers)
        self.angular_prototypical = AngularPrototypical()

    def forward(self, embeddings: Tensor, speaker_ids: Tensor) -> Tensor:
        """Mean loss of (speakers, utterances, dim) embeddings of the speakers (speakers,)."""
        prototypical = self.angular_prototypical(*split_queries(embeddings))
        return self.softmax(embeddings.flatten(0, 1), speaker_ids.repeat_interleave(embeddings.shape[1])) + prototypical
