import pytest
import torch

from sv.losses import AngularPrototypical, Prototypical, split_queries
from sv.train.steps.metric import MetricConfig, MetricStep

SPEAKERS = torch.tensor([4, 4, 4, 0, 0, 0, 2, 2, 2])
WAVES = torch.randn(9, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("criterion", "kind"), [("prototypical", Prototypical), ("angular_prototypical", AngularPrototypical)]
)
def test_prototypes_are_made_of_each_speakers_utterances(criterion, kind, tiny, batch_of) -> None:
    step = MetricStep(*tiny, MetricConfig(criterion=criterion), 5)
    embeddings = step.model.embed(step.frontend(WAVES)).reshape(3, 3, -1)
    losses = step(batch_of(WAVES, SPEAKERS))
    torch.testing.assert_close(losses["loss"], kind()(*split_queries(embeddings)))
    assert set(losses) == {"loss"}


def test_softmax_with_angular_prototypical_is_their_sum(tiny, batch_of) -> None:
    step = MetricStep(*tiny, MetricConfig(softmax=1.0), 5)
    embeddings = step.model.embed(step.frontend(WAVES))
    losses = step(batch_of(WAVES, SPEAKERS))
    prototypical = AngularPrototypical()(*split_queries(embeddings.reshape(3, 3, -1)))
    torch.testing.assert_close(losses["metric"], prototypical)
    torch.testing.assert_close(losses["softmax"], step.criteria["softmax"](embeddings, SPEAKERS))
    torch.testing.assert_close(losses["loss"], losses["metric"] + losses["softmax"])
    half = MetricStep(*tiny, MetricConfig(softmax=0.5), 5)
    half.load_state_dict(step.state_dict())
    losses = half(batch_of(WAVES, SPEAKERS))
    torch.testing.assert_close(losses["loss"], losses["metric"] + 0.5 * losses["softmax"])


def test_triplets_are_mined_by_draws_that_the_generator_keys(tiny, batch_of) -> None:
    speakers = torch.arange(6).repeat_interleave(2)
    waves = torch.randn(12, 16, generator=torch.Generator().manual_seed(2))
    step = MetricStep(*tiny, MetricConfig(criterion="triplet", margin=3.0, hard_rank=1, hard_prob=0.0), 6)
    values = []
    for seed in (0, 0, 1, 2, 3):
        torch.manual_seed(seed)
        values.append(step(batch_of(waves, speakers))["loss"].item())
    assert values[0] == values[1]
    assert len(set(values)) > 2
    torch.manual_seed(0)
    embeddings = step.model.embed(step.frontend(waves)).reshape(6, 2, -1)
    assert values[0] == pytest.approx(step.criteria["metric"].of_groups(embeddings, torch.rand(6, 2)).item())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"softmax": -1.0}, "softmax is a weight and must not be negative, got -1"),
        ({"criterion": "aam"}, "criterion must be one of 'triplet', 'prototypical', 'angular_prototypical', got 'aam'"),
        ({"hard_prob": 2.0}, r"hard_prob must be in \[0, 1\], got 2.0"),
    ],
)
def test_settings_out_of_range_are_named(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        MetricConfig(**arguments)
