"""Adaptation: its losses in closed form, what is trained, and the model that results."""

import copy
import math

import pytest
import torch
from torch import nn

from sv.models import MODELS
from sv.models.changes import LowRankChanges
from sv.models.enhanced import EnhancedConfig, EnhancedNetwork
from sv.train.config import TrainConfig
from sv.train.distributed import World
from sv.train.loop import Trainer
from sv.train.steps.adaptation import (
    AdaptationConfig,
    AdapterAdaptation,
    AdaptersConfig,
    FrontendAdaptation,
    FrontendConfig,
    FullAdaptation,
    FullConfig,
    cosines,
)
from sv.train.steps.protocol import StepModule

EXTRACTOR = {
    "type": "exu_net",
    "num_mel_bins": 16,
    "channels": [4, 8, 8, 16],
    "blocks": [1, 1, 1, 1],
    "embedding_dim": 6,
}
CONFIGS = {
    FullAdaptation: FullConfig(similarity=2.0, share=0.25),
    AdapterAdaptation: AdaptersConfig(similarity=2.0, rank=2),
    FrontendAdaptation: FrontendConfig(similarity=2.0, feature_mse=0.5),
}
STEPS = pytest.mark.parametrize("kind", CONFIGS)


class Mels(nn.Module):
    """Sixteen channels of 24 frames from 384 samples."""

    def forward(self, waveforms):
        return waveforms.view(-1, 16, 24)


class Flat(nn.Module):
    """The first two samples, as features."""

    def forward(self, waveforms):
        return waveforms[:, :2, None]


class Identity(nn.Module):
    """A model whose embedding is a linear map of two features, at first the identity."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.config = type("Config", (), {"embedding_dim": 2})

    def embed(self, features):
        return self.linear(features[:, :, 0])


def step_of(kind: type, config: AdaptationConfig | None = None) -> StepModule:
    """A step whose student was moved away from its teacher."""
    torch.manual_seed(0)
    table = dict(EXTRACTOR)
    config_class, network = MODELS[table.pop("type")]
    parent = network(config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}))
    enhanced = EnhancedNetwork(EnhancedConfig(channels=(4, 4, 4, 8), blocks=(1, 1, 1, 1), extractor=EXTRACTOR))
    model = enhanced if kind is FrontendAdaptation else copy.deepcopy(parent)
    step = kind(Mels(), model, config or CONFIGS[kind], 3)
    step.start_from(parent.state_dict())
    return step.train()


def moved(step: StepModule) -> StepModule:
    with torch.no_grad():
        for parameter in step.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return step


def batch(batch_of, rows: int = 4):
    generator = torch.Generator().manual_seed(1)
    noisy, clean = torch.randn(2, rows, 384, generator=generator)
    return batch_of(noisy, torch.arange(rows) % 3, clean)


def test_the_losses_of_four_rows_are_those_of_a_calculation_by_hand(batch_of) -> None:
    step = FullAdaptation(Flat(), Identity(), FullConfig(cosine=3.0, similarity=2.0), 3)
    step.start_from({"linear.weight": torch.eye(2), "linear.bias": torch.zeros(2)})
    clean = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    noisy = torch.tensor([[1.0, 1.0], [0.0, 1.0]])  # 45 degrees off, and right
    losses = step(batch_of(noisy, torch.tensor([0, 1]), clean))
    cosine = (1 - math.sqrt(0.5) + 0) / 2
    similarity = 2 * 0.5 / 4  # two of four cosines are root 1/2 in place of 0
    assert losses["cosine"].item() == pytest.approx(cosine, abs=1e-6)
    assert losses["similarity"].item() == pytest.approx(similarity, abs=1e-6)
    assert losses["loss"].item() == pytest.approx(3 * cosine + 2 * similarity, abs=1e-6)


def test_the_speaker_term_is_the_softmax_of_the_students_embeddings(batch_of) -> None:
    config = FullConfig(cosine=0.0, speaker=0.5, speaker_type="am", margin=0.0, scale=1.0)
    step = FullAdaptation(Flat(), Identity(), config, 2)
    step.start_from({"linear.weight": torch.eye(2), "linear.bias": torch.zeros(2)})
    step.criteria["speaker"].weight.data = torch.eye(2)[:, :, None].reshape(step.criteria["speaker"].weight.shape)
    losses = step(batch_of(torch.tensor([[5.0, 0.0]]), torch.tensor([0]), torch.tensor([[0.0, 1.0]])))
    assert set(losses) == {"loss", "speaker"}
    assert float(losses["speaker"]) == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-6)  # cosines 1 and 0
    assert float(losses["loss"]) == pytest.approx(0.5 * float(losses["speaker"]))


def test_cosines_are_of_all_rows_with_all() -> None:
    rows = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    torch.testing.assert_close(cosines(rows), torch.tensor([[1.0, math.sqrt(0.5)], [math.sqrt(0.5), 1.0]]))


@STEPS
def test_nothing_is_learned_from_clean_speech_at_the_start(kind, batch_of) -> None:
    step = step_of(kind, CONFIGS[kind])
    clean = batch(batch_of).references
    losses = step.eval()(batch_of(clean, torch.arange(4) % 3, clean))
    assert all(float(value) == pytest.approx(0, abs=1e-6) for value in losses.values())


@STEPS
def test_gradients_are_where_they_should_be_and_nowhere_else(kind, batch_of) -> None:
    step = moved(step_of(kind))
    before = {name: value.clone() for name, value in step.state_dict().items()}
    step(batch(batch_of))["loss"].backward()
    trained = {"FullAdaptation": "model.", "AdapterAdaptation": "changes.", "FrontendAdaptation": "model.enhancer."}
    prefix = trained[kind.__name__]
    for name, parameter in step.named_parameters():
        assert parameter.requires_grad == name.startswith(prefix), name
        assert (parameter.grad is not None) == name.startswith(prefix), name
    reached = [bool(parameter.grad.any()) for parameter in step.parameters() if parameter.requires_grad]
    assert sum(reached) > 0.8 * len(reached)
    frozen = [name for name in before if not name.startswith("model.enhancer.")]
    assert all(torch.equal(step.state_dict()[name], before[name]) for name in frozen)  # of norms, too


@STEPS
def test_a_step_of_the_trainer_leaves_the_teacher_alone(kind, batch_of) -> None:
    step = step_of(kind)
    config = TrainConfig(lr=0.1, weight_decay=0.1, optimizer="adamw", amsgrad=False)
    batch_ = batch(batch_of)
    before = step.targets(step.read(batch_.references)).clone()
    Trainer(step, config, World()).train_step(batch_, 0.1)
    assert torch.equal(step.targets(step.read(batch_.references)), before)
    assert not torch.allclose(step.eval().student(step.read(batch_.references)).embedding, before)


def test_the_result_of_all_weights_is_a_mean_with_the_teachers() -> None:
    step = moved(step_of(FullAdaptation))
    result = step.result().state_dict()
    for name, old in step.teacher.state_dict().items():
        if old.is_floating_point():
            torch.testing.assert_close(result[name], 0.25 * step.model.state_dict()[name] + 0.75 * old)
    whole = moved(step_of(FullAdaptation, FullConfig()))
    assert whole.result() is whole.model


def test_merged_adapters_compute_what_they_computed_before(batch_of) -> None:
    step = moved(step_of(AdapterAdaptation)).eval()
    features = step.read(batch(batch_of).waveforms)
    with torch.no_grad():
        unmerged, merged = step.student(features).embedding, step.result().eval().embed(features)
        torch.testing.assert_close(merged, unmerged, rtol=0, atol=1e-6)
        assert not torch.allclose(merged, step.targets(features), atol=1e-3)
    assert step.result().state_dict().keys() == step.model.state_dict().keys()


def test_a_change_has_the_rank_that_is_asked_for_and_starts_at_nothing() -> None:
    layer = nn.Sequential(nn.Conv1d(6, 8, 3), nn.Linear(2, 5), nn.BatchNorm1d(4))
    changes = LowRankChanges(layer, 3)
    assert all(torch.equal(changes.changed(layer)[name], value) for name, value in layer.named_parameters())
    for value in changes.parameters():
        nn.init.normal_(value)
    found = {name: value - layer.get_parameter(name) for name, value in changes.changed(layer).items()}
    ranks = {
        name: int(torch.linalg.matrix_rank(value.detach().flatten(1)))
        for name, value in found.items()
        if value.ndim > 1
    }
    assert ranks == {"0.weight": 3, "1.weight": 2}
    torch.testing.assert_close(found["2.weight"], changes.offsets["2/weight"])


def test_adapters_reach_an_lstm() -> None:
    torch.manual_seed(0)
    config_class, network = MODELS["ge2e_lstm"]
    model = network(config_class(num_mel_bins=4, hidden=5, num_layers=1, projection=0, head="linear_relu", head_dim=3))
    step = AdapterAdaptation(nn.Identity(), model, AdaptersConfig(rank=1), 2).train()
    features = torch.randn(2, 4, 7)
    step.student(features).embedding.sum().backward()
    recurrent = [parameter for name, parameter in step.changes.up.items() if "weight_hh" in name]
    assert len(recurrent) == 1 and recurrent[0].grad.any()


def test_what_is_added_to_features_has_their_scale() -> None:
    enhancer = moved(step_of(FrontendAdaptation)).eval().model.enhancer
    features = torch.randn(2, 16, 24)
    with torch.no_grad():
        added = enhancer.embed(features) - features
        louder = enhancer.embed(1000 * features + 5) - (1000 * features + 5)
    assert added.abs().max() > 1e-2
    torch.testing.assert_close(louder, 1000 * added, rtol=1e-2, atol=1e-2)


def test_an_enhanced_network_starts_as_its_extractor() -> None:
    step = step_of(FrontendAdaptation)
    features = torch.randn(2, 16, 21)  # frames that the U-Net has to fill up
    found = step.eval().model(features)
    torch.testing.assert_close(found.embedding, step.targets(features))
    torch.testing.assert_close(found.enhanced, features)


def separating(config: FrontendConfig) -> FrontendAdaptation:
    """A front end with a background, moved away from its start."""
    torch.manual_seed(0)
    sizes = {"channels": (4, 4, 4, 8), "blocks": (1, 1, 1, 1), "extractor": EXTRACTOR}
    step = FrontendAdaptation(Mels(), EnhancedNetwork(EnhancedConfig(background=True, **sizes)), config, 3)
    step.frontend.log_unit = 1.0
    return moved(step.train())


def test_the_mixture_is_what_was_heard_and_trains_both_decoders(batch_of) -> None:
    step = separating(FrontendConfig(mixture=0.5))
    given = batch(batch_of)
    losses = step(given)
    assert set(losses) == {"loss", "cosine", "mixture"}
    step.eval()
    with torch.no_grad():
        found = step.model.separate(step.read(given.waveforms))
        total = torch.log(found.enhanced.exp() + found.background.exp())
        expected = (total - step.read(given.waveforms)).square().mean()
        torch.testing.assert_close(step(given)["mixture"], expected)
    losses["loss"].backward()
    for part in (step.model.enhancer, step.model.background):
        reached = [bool(parameter.grad.any()) for parameter in part.parameters()]
        assert sum(reached) > 0.8 * len(reached)


def test_a_background_changes_no_embedding() -> None:
    step = separating(FrontendConfig(mixture=0.5)).eval()
    features = torch.randn(2, 16, 21)
    with torch.no_grad():
        found = step.model.separate(features)
        assert found.background.shape == features.shape
        torch.testing.assert_close(step.model.embed(features), found.embedding)
        step.model.background = None
        torch.testing.assert_close(step.model.embed(features), found.embedding)


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (FullConfig, {"share": 0.0}, r"share must be in \(0, 1\], got 0.0"),
        (FullConfig, {"cosine": 0.0}, "cosine, similarity or speaker must be positive"),
        (FullConfig, {"similarity": -1.0}, "similarity must not be negative"),
        (FullConfig, {"speaker_type": "triplet"}, "speaker_type must be one of 'softmax'"),
        (AdaptersConfig, {"rank": 0}, "rank must be at least 1"),
        (FrontendConfig, {"feature_mse": -0.5}, "feature_mse must not be negative"),
        (FrontendConfig, {"mixture": -0.5}, "mixture must not be negative"),
    ],
)
def test_impossible_options_are_named(config, values, message) -> None:
    with pytest.raises(ValueError, match=message):
        config(**values)


def test_a_front_end_enhances_features_of_mel_bins_alone() -> None:
    with pytest.raises(
        ValueError, match="extractor: 'rawnet2' reads waveforms, and a U-Net enhances features of mel bins"
    ):
        EnhancedConfig(extractor={"type": "rawnet2"})
    with pytest.raises(ValueError, match="num_mel_bins must be a multiple of 8, got 30"):
        EnhancedConfig(extractor={"type": "ecapa_tdnn", "num_mel_bins": 30})
    with pytest.raises(ValueError, match="'type' must be that of an extractor, got 'enhanced'"):
        EnhancedConfig(extractor={"type": "enhanced"})
