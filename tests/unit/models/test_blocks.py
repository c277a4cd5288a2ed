import torch
import torch.nn.functional as F

from sv.models.blocks import SEBasicBlock, SqueezeExcite, residual_levels


def test_squeeze_excite_with_zero_weights_opens_each_gate_by_the_sigmoid_of_its_bias() -> None:
    gate = SqueezeExcite(8)
    with torch.no_grad():
        for layer in (gate.fc[0], gate.fc[2]):
            layer.weight.zero_()
            layer.bias.zero_()
        gate.fc[2].bias[3] = 2.0
    gates = gate(torch.randn(2, 8, 3, 5))
    expected = torch.full((2, 8, 1, 1), 0.5)
    expected[:, 3] = torch.sigmoid(torch.tensor(2.0))
    torch.testing.assert_close(gates, expected)


def test_squeeze_excite_keeps_a_unit_where_there_are_fewer_channels_than_the_reduction() -> None:
    assert SqueezeExcite(4).fc[0].weight.shape == (1, 4)


def test_gates_give_channels_last_maps_a_channels_last_gradient() -> None:
    maps = torch.randn(2, 8, 3, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(SqueezeExcite(8)(maps).sum(), maps)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_block_normalises_after_its_first_relu() -> None:
    block = SEBasicBlock(2, 4, stride=2).eval()
    for norm in (block.bn1, block.bn2, block.downsample[1]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    maps = torch.randn(3, 2, 6, 8)
    hidden = block.bn2(block.conv2(block.bn1(F.relu(block.conv1(maps)))))
    squeezed = F.relu(block.se.fc[0](hidden.mean(dim=(2, 3))))
    gates = torch.sigmoid(block.se.fc[2](squeezed))
    expected = F.relu(hidden * gates[:, :, None, None] + block.downsample(maps[:, :, ::2, ::2]))
    torch.testing.assert_close(block(maps), expected)
    assert expected.shape == (3, 4, 3, 4)


def test_levels_change_width_and_resolution_in_their_first_block_only() -> None:
    first, second = residual_levels((4, 4), (4, 8), (2, 3), (1, 2))
    assert [len(first), len(second)] == [2, 3]
    assert second(first(torch.zeros(1, 4, 8, 12))).shape == (1, 8, 4, 6)
    assert [block.downsample is not None for block in (*first, *second)] == [False, False, True, False, False]
