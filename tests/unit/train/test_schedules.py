import pytest

from sv.train.config import TrainConfig
from sv.train.schedules import learning_rate, rising_margin
from sv.train.steps.pairs import PairLossConfig


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
    ("step", "rate"),
    [
        (0, 1e-7),
        (1, 1.08642e-5),
        (464, 4.99467e-3),
        (929, 1e-2),
        (18_580, 5.20138e-3),
        (37_160, 1e-7),
        (37_161, 5.48202e-6),
        (38_089, 5e-3),
        (92_435, 1e-7),
        (139_350, 9.99984e-4),
        (185_800, 1.22954e-3),
        (297_280, 2.35323e-7),
    ],
)
def test_published_warm_restarts_of_diff_sv(step, rate):
    config = TrainConfig(schedule="warm_restarts", restart_epochs=40, lr=1e-2, num_epochs=320)
    assert learning_rate(config, step, 929) == pytest.approx(rate, rel=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"restart_epochs": 1}, r"warmup_epochs must be in \[0, restart_epochs\), got 1 and 1"),
        ({"restart_growth": 0.5}, r"restart_growth must be at least 1 and restart_decay in \(0, 1\], got 0.5 and 0.5"),
        ({"restart_decay": 0.0}, "got 1.5 and 0.0"),
    ],
)
def test_warm_restarts_name_what_is_wrong(values, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(schedule="warm_restarts", **values)


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


@pytest.mark.parametrize(
    ("epoch", "linear", "exponential"),
    [(0.0, 0.0, 0.0), (20.0, 0.0, 0.0), (30.0, 0.1, 0.2 * (1 - 1e-3**0.5)), (40.0, 0.2, 0.2), (150.0, 0.2, 0.2)],
)
def test_margin_rises_between_two_epochs(epoch: float, linear: float, exponential: float) -> None:
    assert rising_margin(epoch, 0.2, 20, 40, "linear") == pytest.approx(linear)
    assert rising_margin(epoch, 0.2, 20, 40, "exponential") == pytest.approx(exponential)


def test_margin_without_a_rise_holds_from_the_start() -> None:
    assert rising_margin(0.0, 0.2, 0, 0, "linear") == 0.2
