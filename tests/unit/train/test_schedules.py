import pytest

from sv.train.config import TrainConfig
from sv.train.schedules import learning_rate
from sv.train.steps import PairLossConfig


def test_published_step_decay():
    config = TrainConfig()  # x 0.95 every 10 epochs
    assert learning_rate(config, 0, 100) == 1e-3
    assert learning_rate(config, 999, 100) == 1e-3
    assert learning_rate(config, 1000, 100) == pytest.approx(0.95e-3)
    assert learning_rate(config, 499 * 100, 100) == pytest.approx(8.1e-5, rel=0.01)


def test_decay_by_steps_does_not_depend_on_the_length_of_an_epoch():
    config = TrainConfig(lr=1e-2, lr_decay=0.5, lr_decay_steps=10_000)
    for steps_per_epoch in (7, 1700):
        rates = [learning_rate(config, step, steps_per_epoch) for step in (0, 9999, 10_000, 99_999)]
        assert rates == pytest.approx([1e-2, 1e-2, 5e-3, 1e-2 / 512])
    with pytest.raises(ValueError, match="lr_decay_steps must not be negative, got -1"):
        TrainConfig(lr_decay_steps=-1)


def test_cosine_restarts_and_ends():
    config = TrainConfig(schedule="cosine", restart_epochs=80, lr=1e-3, lr_floor=1e-7)
    assert learning_rate(config, 40 * 10, 10) == pytest.approx((1e-3 + 1e-7) / 2)
    assert learning_rate(config, 80 * 10, 10) == 1e-3
    once = TrainConfig(schedule="cosine", restart_epochs=0, num_epochs=10, lr=1e-3, lr_floor=0.0)
    assert learning_rate(once, 99, 10) == pytest.approx(0.0, abs=1e-6)


def test_warm_up_multiplies():
    config = TrainConfig(schedule="constant", warmup_steps=4, lr=2.0)
    assert [learning_rate(config, step, 10) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_epochs": 0}, "num_epochs must be at least 1, got 0"),
        ({"warmup_steps": -1}, "warmup_steps must not be negative"),
        ({"lr": 0.0}, "lr must be positive"),
    ],
)
def test_values_are_checked(values, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**values)


def test_a_loss_that_trains_nothing_is_refused():
    with pytest.raises(ValueError, match="no loss reaches the embedding"):
        PairLossConfig(speaker=0.0, feature_mse=1.0)
    with pytest.raises(ValueError, match="must not be negative"):
        PairLossConfig(speaker=-1.0)
