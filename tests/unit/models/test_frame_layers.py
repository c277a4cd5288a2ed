import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sv.models.frame_layers import ChannelAffine, FrameConv, cat_channels, max_pool


def by_frames(maps: torch.Tensor) -> torch.Tensor:
    """The same maps with a frame's channels side by side in memory."""
    return maps.transpose(1, 2).contiguous().transpose(1, 2)


@pytest.mark.parametrize("layout", [torch.clone, by_frames])
@pytest.mark.parametrize(
    ("channels", "settings"),
    [
        (6, {"kernel_size": 1}),
        (5, {"kernel_size": 1, "bias": False}),
        (6, {"kernel_size": 3, "padding": 1}),
        (6, {"kernel_size": 3, "padding": 4, "dilation": 4, "bias": False}),
        (1, {"kernel_size": 3, "stride": 3}),
        (2, {"kernel_size": 1, "stride": 2}),
    ],
)
def test_a_frame_convolution_is_the_convolution(layout, channels: int, settings: dict) -> None:
    conv, maps = nn.Conv1d(channels, 8, **settings), torch.randn(2, channels, 50)
    torch.testing.assert_close(FrameConv(conv)(layout(maps)), conv(maps), atol=1e-5, rtol=1e-5)


def test_maps_of_a_frame_convolution_lie_frame_by_frame() -> None:
    maps = by_frames(torch.randn(1, 64, 2000))
    for settings in ({"kernel_size": 1}, {"kernel_size": 3, "padding": 1}):
        assert FrameConv(nn.Conv1d(64, 32, **settings))(maps).stride()[1:] == (1, 32)


@pytest.mark.parametrize(("norm", "shape"), [(nn.BatchNorm1d(4), (2, 4, 9)), (nn.BatchNorm2d(4), (2, 4, 3, 5))])
def test_a_channel_affine_is_the_norm_in_evaluation(norm: nn.Module, shape: tuple[int, ...]) -> None:
    for value in norm.state_dict().values():
        if value.ndim:
            value += torch.rand(4)
    maps = torch.randn(shape)
    torch.testing.assert_close(ChannelAffine(norm)(maps), norm.eval()(maps))


@pytest.mark.parametrize("size", [3, 5])
def test_pooling_in_either_layout(size: int) -> None:
    maps = torch.randn(2, 4, 31)
    expected = F.max_pool1d(maps, size)
    assert torch.equal(max_pool(maps, size), expected)
    assert torch.equal(max_pool(by_frames(maps), size), expected)


def test_concatenation_keeps_the_layout() -> None:
    first, second = torch.randn(2, 3, 7), torch.randn(2, 5, 7)
    expected = torch.cat([first, second], dim=1)
    assert torch.equal(cat_channels([first, second]), expected)
    concatenated = cat_channels([by_frames(first), by_frames(second)])
    assert torch.equal(concatenated, expected)
    assert concatenated.stride() == (56, 1, 8)
