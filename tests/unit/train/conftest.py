"""The smallest front end and model that a step can train."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from sv.data.dataset import Batch


class Frontend(nn.Module):
    def forward(self, waveforms: Tensor) -> Tensor:
        return waveforms[:, None, :8].repeat(1, 4, 1)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.config = SimpleNamespace(embedding_dim=3)

    def embed(self, features: Tensor) -> Tensor:
        return self.linear(features.mean(dim=2) + features[:, :, :4].diagonal(dim1=1, dim2=2))


@pytest.fixture
def tiny():
    """(front end, model), the model mapping waveforms to three dimensions."""
    torch.manual_seed(0)
    return Frontend(), Model()


@pytest.fixture
def batch_of():
    """(waveforms, speaker_ids, references=waveforms) -> batch."""

    def build(waveforms: Tensor, speaker_ids: Tensor, references: Tensor | None = None) -> Batch:
        references = waveforms if references is None else references
        names = tuple(f"utt-{number}" for number in range(len(waveforms)))
        return Batch(waveforms=waveforms, references=references, speaker_ids=speaker_ids, utterances=names)

    return build
