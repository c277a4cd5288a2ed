"""ReDimNet2: axes, mixtures and strides by hand, what is refused; its embeddings are in tests/unit/published/test_layouts.py."""

import pytest
import torch

from sv.models.redimnet2 import Mixture, ReDimNet2, ReDimNet2Config, StageConfig, ToMaps, ToSequence

SMALL = ReDimNet2Config(
    num_mel_bins=8, channels=2, stages=(StageConfig(mel_stride=2, frame_stride=2),), out_channels=None
)


def test_a_sequence_has_the_mels_of_a_map_slowest() -> None:
    sequence = torch.arange(12.0).reshape(1, 6, 2)  # 3 mels of 2 channels
    maps = ToMaps(3)(sequence)
    assert maps.shape == (1, 2, 3, 2) and maps[0, 1, 2].tolist() == [10, 11]
    assert torch.equal(ToSequence()(maps), sequence)


def test_a_mixture_weighs_each_channel_by_itself() -> None:
    mixture = Mixture(2, 2)
    with torch.no_grad():
        mixture.weight[0, 1, 0] = torch.tensor(3.0).log()  # 1 to 3 for the first channel, alike for the second
    mixed = mixture([torch.zeros(1, 2, 1), torch.ones(1, 2, 1)])
    assert mixed.flatten().tolist() == pytest.approx([0.75, 0.5])


def test_frames_beyond_the_strides_are_dropped_and_too_few_are_named() -> None:
    torch.manual_seed(0)
    model, features = ReDimNet2(SMALL).eval(), torch.randn(1, 8, 21)
    torch.testing.assert_close(model.embed(features), model.embed(features[:, :, :20]), rtol=0, atol=0)
    with pytest.raises(ValueError, match="at least 2 frames, got 1"):
        model.embed(features[:, :, :1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_mel_bins": 12}, "num_mel_bins must be a multiple of 8, the stages' mel strides, got 12"),
        ({"stages": ()}, "stages must not be empty"),
        ({"out_channels": 0}, "out_channels must be positive, got 0"),
        ({"pool_maps": True, "out_channels": None}, "pool_maps needs out_channels"),
    ],
)
def test_sizes_that_do_not_fit_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReDimNet2Config(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"expansion": 0.0}, "expansion must be positive, got 0.0"),
        ({"kernels": ((3, 4),)}, "kernels must be odd sizes"),
        ({"reduction": 0}, "reduction must be positive, got 0"),
    ],
)
def test_stages_that_cannot_be_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StageConfig(**arguments)
