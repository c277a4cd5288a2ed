import pytest
import torch

from sv.losses import AAMSoftmax, AMSoftmax, SoftmaxLoss
from sv.train.steps.classification import ClassificationConfig, ClassificationStep

SPEAKERS = torch.tensor([2, 0, 1, 2])
WAVES = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("criterion", "kind"), [("softmax", SoftmaxLoss), ("am", AMSoftmax), ("aam", AAMSoftmax)])
def test_the_loss_is_that_of_the_criterion(criterion, kind, tiny, batch_of) -> None:
    step = ClassificationStep(*tiny, ClassificationConfig(criterion=criterion, margin=0.3, scale=12.0), 3)
    assert type(step.criterion) is kind
    embeddings = step.model.embed(step.frontend(WAVES))
    losses = step(batch_of(WAVES, SPEAKERS), 7.5)
    torch.testing.assert_close(losses["loss"], step.criterion(embeddings, SPEAKERS, 0.3))
    assert set(losses) == {"loss"}


def test_options_reach_the_criterion(tiny) -> None:
    config = ClassificationConfig(criterion="aam", scale=7.0, tail="easy", subcenters=2)
    criterion = ClassificationStep(*tiny, config, 5).criterion
    assert (criterion.config.scale, criterion.config.tail, criterion.weight.shape) == (7.0, "easy", (10, 3))


def test_the_margin_rises_with_the_epoch(tiny, batch_of) -> None:
    config = ClassificationConfig(criterion="am", margin=0.4, margin_rise="linear", margin_from=1.0, margin_until=3.0)
    step = ClassificationStep(*tiny, config, 3)
    embeddings = step.model.embed(step.frontend(WAVES))
    for epoch, margin in ((0.5, 0.0), (1.0, 0.0), (1.5, 0.1), (2.0, 0.2), (3.0, 0.4), (9.0, 0.4)):
        expected = step.criterion(embeddings, SPEAKERS, margin)
        torch.testing.assert_close(step(batch_of(WAVES, SPEAKERS), epoch)["loss"], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": -0.1}, "margin must not be negative, got -0.1"),
        ({"scale": 0.0}, "scale must be positive, got 0.0"),
        ({"criterion": "aan"}, "criterion must be one of 'softmax', 'am', 'aam', 'norm_softmax', got 'aan'"),
        ({"subcenters": 0}, "subcenters must be at least 1, got 0"),
        ({"margin_from": 5.0, "margin_until": 2.0}, "must be epochs in order, got 5.0 and 2.0"),
    ],
)
def test_settings_out_of_range_are_named(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        ClassificationConfig(**arguments)
