from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sv.models.output import Embedded
from sv.train.steps.pairs import PairLossConfig, PairStep


class Frontend(nn.Module):
    def forward(self, waveforms):
        return waveforms[:, None, :8].repeat(1, 4, 1)


class Model(nn.Module):
    def __init__(self, enhances=True):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.enhances = enhances
        self.config = SimpleNamespace(embedding_dim=3)

    def embed(self, features):
        return self.linear(features.mean(dim=2))

    def forward(self, features):
        return Embedded(self.embed(features), features * 0.5 if self.enhances else None)


@pytest.fixture
def batch(batch_of):
    generator = torch.Generator().manual_seed(0)
    waveforms, references = torch.randn(2, 4, 16, generator=generator)
    return batch_of(waveforms, torch.tensor([1, 0, 1, 0]), references)


def test_terms_by_hand(batch):
    torch.manual_seed(0)
    weights = PairLossConfig(speaker=2.0, feature_mse=3.0, angular_prototypical=0.5)
    step = PairStep(Frontend(), Model(), weights, num_speakers=2)
    losses = step(batch)
    waveforms, references, speakers = batch.waveforms, batch.references, batch.speaker_ids
    embeddings = step.model.embed(step.frontend(waveforms))
    classifier = step.criteria["speaker"].classifier
    speaker = F.cross_entropy(classifier(embeddings), speakers)
    mse = (0.5 * step.frontend(waveforms) - step.frontend(references)).square().mean()
    cos = F.cosine_similarity(embeddings[2:, None], embeddings[None, :2], dim=2)  # augmented query clean
    prototypical = F.cross_entropy(10 * cos - 5, torch.arange(2))
    torch.testing.assert_close(losses["loss"], 2 * speaker + 3 * mse + 0.5 * prototypical)
    assert set(losses) == {"loss", "speaker", "feature_mse", "angular_prototypical"}


def test_terms_of_weight_zero_are_left_out(batch):
    step = PairStep(Frontend(), Model(enhances=False), PairLossConfig(), num_speakers=2)
    assert set(step(batch)) == {"loss", "speaker"}
    step = PairStep(Frontend(), Model(), PairLossConfig(speaker_type="aam"), num_speakers=2)
    assert step.criteria["speaker"].weight.shape == (2, 3)


def test_regression_of_a_model_that_does_not_enhance_is_refused(batch):
    step = PairStep(Frontend(), Model(enhances=False), PairLossConfig(feature_mse=1.0), num_speakers=2)
    with pytest.raises(ValueError, match="feature_mse is set, but this model does not enhance"):
        step(batch)


@pytest.mark.parametrize(("tail", "logit"), [("continuous", -1.0446635), ("published", -1.0886561)])
def test_the_tail_of_a_margin_can_be_chosen(tail, logit):
    """Logit of a target opposite to its class vector, margin 0.3: -1 - (1 - cos 0.3), or -1 - 0.3 sin 0.3."""
    step = PairStep(Frontend(), Model(), PairLossConfig(speaker_type="aam", tail=tail), num_speakers=2)
    assert step.criteria["speaker"].shifted(torch.tensor([-1.0]), 0.3).item() == pytest.approx(logit, abs=1e-6)
