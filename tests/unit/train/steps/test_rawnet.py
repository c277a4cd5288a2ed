"""The steps of the RawNet family on a model of a few channels."""

import pytest
import torch
import torch.nn.functional as F

from sv.features.waveform import Waveform, WaveformConfig
from sv.models import MODELS
from sv.train.steps.rawnet import NormSoftmaxConfig, NormSoftmaxStep, RawNet1LossConfig, RawNet1Step

NUM_SPEAKERS = 5


def step_of(name: str, step, config, **sizes) -> torch.nn.Module:
    torch.manual_seed(0)
    config_class, module = MODELS[name]
    model = module(config_class(channels=(4, 8), embedding_dim=6, **sizes))
    return step(Waveform(WaveformConfig()), model, config, NUM_SPEAKERS)


@pytest.fixture
def batch(batch_of):
    generator = torch.Generator().manual_seed(1)
    waveforms = 0.1 * torch.randn(4, 800, generator=generator)
    return batch_of(waveforms, torch.tensor([0, 3, 3, 1]))


def test_norm_softmax_step_is_the_loss_of_the_embeddings(batch) -> None:
    step = step_of("rawnet2", NormSoftmaxStep, NormSoftmaxConfig(norm=7.0), ln_affine="none", gru_dim=8).eval()
    embeddings = 7 * F.normalize(step.model.embed(batch.waveforms[:, None]))
    expected = F.cross_entropy(step.criterion.classifier(embeddings), batch.speaker_ids)
    torch.testing.assert_close(step(batch)["loss"], expected)


def test_rawnet1_step_weighs_its_three_terms(batch) -> None:
    config = RawNet1LossConfig(between_speaker=0.5, centre=0.1)
    step = step_of("rawnet1_cnn", RawNet1Step, config).eval()
    losses = step(batch)
    embeddings = step.model.embed(batch.waveforms[:, None])
    expected = F.cross_entropy(embeddings @ step.classifier.weight.T, batch.speaker_ids)
    torch.testing.assert_close(losses["speaker"], expected)
    torch.testing.assert_close(losses["centre"], step.centre_loss(embeddings, batch.speaker_ids))
    total = losses["speaker"] + 0.5 * losses["between_speaker"] + 0.1 * losses["centre"]
    torch.testing.assert_close(losses["loss"], total)


def test_centres_move_in_training_only(batch) -> None:
    step = step_of("rawnet1_cnn", RawNet1Step, RawNet1LossConfig(centre=0.1)).eval()
    before = step.centre_loss.centres.clone()
    step(batch)
    torch.testing.assert_close(step.centre_loss.centres, before, rtol=0, atol=0)
    step.train()(batch)
    moved = (step.centre_loss.centres != before).any(dim=1)
    assert moved.tolist() == [True, True, False, True, False]


def test_terms_of_weight_zero_are_left_out(batch) -> None:
    step = step_of("rawnet1", RawNet1Step, RawNet1LossConfig(between_speaker=0.0), gru_dim=8)
    assert sorted(step(batch)) == ["loss", "speaker"]
    assert step.centre_loss is None


def test_only_kernels_of_rawnet1_decay() -> None:
    step = step_of("rawnet1", RawNet1Step, RawNet1LossConfig(), gru_dim=8)
    names = {id(parameter): name for name, parameter in step.named_parameters()}
    kernels, others = ([names[id(p)] for p in group["params"]] for group in step.parameter_groups())
    assert step.parameter_groups()[1]["weight_decay"] == 0
    assert "classifier.weight" in kernels and "model.gru.weight_hh" in kernels
    assert all(name.endswith((".weight", "_ih", "_hh")) and ".bn" not in name for name in kernels)
    assert len(kernels) + len(others) == len(names)
    assert all(name.endswith("bias") or ".bn" in name or "downsample.1" in name for name in others)


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (NormSoftmaxConfig, {"norm": 0.0}, "norm must be positive, got 0.0"),
        (RawNet1LossConfig, {"centre": -1.0}, "centre must not be negative, got -1.0"),
    ],
)
def test_configs_refuse_what_makes_no_sense(config, values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**values)
