import numpy as np
import pytest
import torch
from torch import nn

from sv.losses import GE2E, TE2E, GE2EConfig, TE2EConfig
from sv.models.ge2e_lstm import GE2ELSTM, GE2ELSTMConfig
from sv.models.network import Network
from sv.train.steps.ge2e import GE2ELossConfig, GE2EStep


class Frontend(nn.Module):
    def forward(self, waveforms):
        return waveforms[:, None]


class Model(Network):
    """Sums of both halves, so that an embedding tells how long its waveform was."""

    def embed(self, features):
        return torch.stack([features[:, 0].sum(1), features[:, 0, ::2].sum(1)], dim=1)


class Vectors(Network):
    """The "waveforms" are ignored: the embeddings themselves are the parameters."""

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(values)

    def embed(self, features):
        return self.values.flatten(0, 1)


def ids(speakers, utterances):
    return torch.arange(speakers).repeat_interleave(utterances)


def chirp(n, a, b, c):
    t = np.arange(n, dtype=np.float64)
    return np.sin(a * t**2 + b * t + c)


@pytest.mark.parametrize(
    ("name", "criterion"), [(form, GE2E(GE2EConfig(form=form))) for form in ("softmax", "contrast")]
)
def test_loss_is_the_criterion_of_the_grouped_embeddings(name, criterion, batch_of):
    torch.manual_seed(0)
    waveforms = torch.randn(6, 20)
    step = GE2EStep(Frontend(), Model(), GE2ELossConfig(criterion=name), num_speakers=0)
    expected = criterion(Model().embed(waveforms[:, None]).reshape(2, 3, 2))
    torch.testing.assert_close(step(batch_of(waveforms, ids(2, 3)))["loss"], expected)


def test_tuples_pair_the_same_speakers_at_the_same_epoch(batch_of):
    torch.manual_seed(0)
    waveforms = torch.randn(10, 20)
    step = GE2EStep(Frontend(), Model(), GE2ELossConfig(criterion="te2e"), num_speakers=0)
    embeddings = Model().embed(waveforms[:, None]).reshape(5, 2, 2)
    possible = [TE2E(TE2EConfig())(embeddings, shift).item() for shift in range(1, 5)]
    batch, epochs = batch_of(waveforms, ids(5, 2)), np.arange(0, 4, 0.1).tolist()
    found = [step(batch, epoch)["loss"].item() for epoch in epochs]
    assert set(np.round(found, 4)) == set(np.round(possible, 4))
    assert found[3] == step(batch, epochs[3])["loss"].item()


def test_batches_are_cut_to_one_length_within_the_limits(batch_of):
    step = GE2EStep(Frontend(), Model(), GE2ELossConfig(min_samples=14), num_speakers=0)
    lengths = []
    step.model.embed = lambda features: lengths.append(features.shape[2]) or features[:, 0, :2]
    waveforms = torch.randn(4, 18)
    for number in range(60):
        step(batch_of(waveforms, ids(2, 2)), number / 7)
    assert set(lengths) == {14, 15, 16, 17, 18}


def test_one_update_in_the_published_order(batch_of):
    """Clip the norm over everything, w and b included, then scale the gradients of w and b."""
    common, own = chirp(24, 0.37, 0.5, 0.1).reshape(4, 1, 6), chirp(72, 0.11, 0.9, 0.2).reshape(4, 3, 6)
    start = torch.from_numpy(0.6 * common + 0.8 * own)
    step = GE2EStep(Frontend(), Vectors(start.clone()), GE2ELossConfig(), num_speakers=0).double()
    groups = [group | {"lr": 0.01 * group.get("lr_scale", 1.0)} for group in step.parameter_groups()]
    optimizer = torch.optim.SGD(groups)
    step(batch_of(torch.zeros(12, 1), ids(4, 3)))["loss"].backward()
    norm = torch.nn.utils.clip_grad_norm_(step.parameters(), 3.0)
    optimizer.step()
    assert norm.item() == pytest.approx(36.712658, rel=1e-5)
    assert 3 / norm.item() == pytest.approx(0.081716, abs=1e-6)
    assert step.criterion.scale.item() == pytest.approx(9.999986, abs=5e-7)
    assert (step.model.values - start).norm().item() == pytest.approx(0.029966, abs=1e-6)


def test_every_trained_parameter_is_in_one_group():
    model = GE2ELSTM(GE2ELSTMConfig(num_mel_bins=4, hidden=6, projection=3))
    step = GE2EStep(Frontend(), model, GE2ELossConfig(projection_grad_scale=0.5), num_speakers=0)
    groups = step.parameter_groups()
    assert [group.get("lr_scale", 1.0) for group in groups] == [1.0, 0.5, 0.01]
    members = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(members) == sorted(id(parameter) for parameter in step.parameters() if parameter.requires_grad)
    assert {id(parameter) for parameter in groups[1]["params"]} == {id(parameter) for parameter in model.projections()}


def test_a_negative_scale_is_refused():
    with pytest.raises(ValueError, match="projection_grad_scale must not be negative, got -1"):
        GE2ELossConfig(projection_grad_scale=-1.0)
