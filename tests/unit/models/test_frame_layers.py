import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sv.models.folding import ChannelAffine
from sv.models.frame_layers import FrameConv, FrameNorm, SameConv, cat_channels, max_pool


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


def assert_same_with_gradients(ours, reference, *inputs: torch.Tensor) -> None:
    """Compare values, and the gradients that a random weighting of them gives, in double precision."""
    found, expected = ([each.clone().requires_grad_() for each in inputs] for _ in range(2))
    values, wanted = ours(*found), reference(*expected)
    torch.testing.assert_close(values, wanted)
    weights = torch.randn_like(wanted)
    values.backward(weights)
    wanted.backward(weights)
    for ours_grad, grad in zip(found, expected):
        torch.testing.assert_close(ours_grad.grad, grad.grad)


@pytest.mark.parametrize("layout", [torch.clone, by_frames])
@pytest.mark.parametrize(("taps", "num_frames"), [(3, 1), (3, 2), (3, 31), (5, 2049), (1, 1025)])
def test_a_convolution_of_equal_length_and_its_gradients(layout, taps: int, num_frames: int) -> None:
    conv, maps = SameConv(6, 8, taps).double(), layout(torch.randn(2, 6, num_frames, dtype=torch.double))

    def by_pytorch(maps, weight, bias):
        return F.conv1d(maps, weight, bias, padding=taps // 2)

    def ours(maps, weight, bias):
        return torch.func.functional_call(conv, {"weight": weight, "bias": bias}, maps)

    assert_same_with_gradients(ours, by_pytorch, maps, conv.weight.detach(), conv.bias.detach())


def test_maps_without_a_gradient_still_give_the_weights_theirs() -> None:
    conv = SameConv(2, 3, 3)
    conv(torch.ones(1, 2, 5)).sum().backward()
    assert conv.weight.grad.tolist() == [[[4, 5, 4]] * 2] * 3
    assert conv.bias.grad.tolist() == [5] * 3


@pytest.mark.parametrize("layout", [torch.clone, by_frames])
def test_a_frame_norm_is_the_batch_norm(layout) -> None:
    norm, reference = FrameNorm(4).double(), nn.BatchNorm1d(4).double()
    maps = layout(torch.randn(3, 4, 9, dtype=torch.double))
    assert_same_with_gradients(norm, reference, maps)
    assert norm.state_dict().keys() == reference.state_dict().keys()
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(value, reference.state_dict()[name])
    assert_same_with_gradients(norm.eval(), reference.eval(), maps)


@pytest.mark.parametrize("num_frames", [30, 32])
def test_gradient_of_pooling_goes_to_the_first_of_equals(num_frames: int) -> None:
    maps = torch.randint(3, (2, 4, num_frames), dtype=torch.double)
    assert_same_with_gradients(lambda m: max_pool(by_frames(m), 3), lambda m: F.max_pool1d(m, 3), maps)
