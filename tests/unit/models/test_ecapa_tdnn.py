"""ECAPA-TDNN: what WeSpeaker's gives for the same weights, sizes, and the paper's details by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sv.models.ecapa_tdnn import ECAPATDNN, ContextAttention, ECAPATDNNConfig, Res2Convolution

SMALL = {"num_mel_bins": 8, "channels": 16, "embedding_dim": 6}


def chirp(count: int) -> Tensor:
    t = np.arange(count)
    return torch.from_numpy(np.sin(0.37 * t**2 + 0.5 * t + 0.1))


def golden(model: nn.Module) -> nn.Module:
    model = model.double().eval()
    for name, value in model.state_dict().items():
        wave = chirp(value.numel()).reshape(value.shape)
        if value.ndim > 1:
            value.copy_(2 / np.sqrt(value[0].numel()) * wave)
        elif name.endswith(("running_var", "weight")):
            value.copy_(1 + 0.3 * wave)
        elif value.ndim:
            value.copy_(0.1 * wave)
    return model


# WeSpeaker's ECAPA_TDNN (channels=16, feat_dim=8, embed_dim=6) in float64, weights renamed, features centred.
WESPEAKER = {
    (False, False): (8.622926, 1.8644, -0.949165, -1.185302, -3.350052, -1.463494),
    (False, True): (8.750911, 2.072698, -1.026268, -1.012224, -3.827213, -1.318259),
    (True, False): (8.603219, 1.539702, -0.429543, -1.196228, -3.255787, -1.59548),
    (True, True): (8.730912, 1.710044, -0.466678, -1.021412, -3.719906, -1.436531),
}


@pytest.mark.parametrize(("global_context", "embedding_norm"), WESPEAKER)
def test_embedding_of_wespeaker(global_context: bool, embedding_norm: bool) -> None:
    config = ECAPATDNNConfig(**SMALL, global_context=global_context, embedding_norm=embedding_norm)
    with torch.no_grad():
        embedding = golden(ECAPATDNN(config))(chirp(2 * 8 * 40).reshape(2, 8, 40)).embedding[0]
    assert embedding.tolist() == pytest.approx(WESPEAKER[global_context, embedding_norm], abs=1e-6)


@pytest.mark.parametrize(
    ("channels", "global_context", "size"),
    [(512, True, 6_190_720), (512, False, 5_797_504), (1024, True, 14_657_088), (1024, False, 14_263_872)],
)
def test_sizes_are_wespeakers(channels: int, global_context: bool, size: int) -> None:
    config = ECAPATDNNConfig(channels=channels, global_context=global_context, embedding_norm=False)
    assert sum(parameter.numel() for parameter in ECAPATDNN(config).parameters()) == size


def test_a_constant_offset_of_the_features_does_not_matter() -> None:
    model, features = golden(ECAPATDNN(ECAPATDNNConfig(**SMALL))), chirp(8 * 30).reshape(1, 8, 30)
    offset = torch.arange(8.0)[:, None]
    torch.testing.assert_close(model.embed(features + offset), model.embed(features))


def test_each_group_sees_the_one_before_and_the_last_passes() -> None:
    res2 = Res2Convolution(6, dilation=1, scale=3).eval()
    with torch.no_grad():
        for layer in res2.layers:  # doubles positive values: the batch norm divides by sqrt(1 + 1e-5)
            layer.conv.weight.zero_()
            layer.conv.weight[:, :, 1] = 2 * torch.eye(2)
            layer.conv.bias.zero_()
    values = torch.ones(1, 6, 5) * torch.tensor([1.0, 1, 10, 10, 100, 100])[:, None]
    expected = torch.tensor([2.0, 2, 24, 24, 100, 100])[:, None].expand(6, 5)
    torch.testing.assert_close(res2(values)[0], expected, rtol=1e-4, atol=0)


def test_summed_inputs_by_hand() -> None:
    models = [golden(ECAPATDNN(ECAPATDNNConfig(**SMALL, summed_inputs=summed))) for summed in (False, True)]
    seen: list[list[Tensor]] = [[], []]
    for model, inputs in zip(models, seen, strict=True):
        for block in model.blocks:
            block.register_forward_hook(lambda _, given, out, inputs=inputs: inputs.append((given[0], out)))
        model.embed(chirp(8 * 30).reshape(1, 8, 30))
    (_, plain_out), (plain_in, _), _ = seen[0]
    torch.testing.assert_close(plain_in, plain_out)
    (first_in, first_out), (second_in, second_out), (third_in, _) = seen[1]
    torch.testing.assert_close(second_in, first_in + first_out)
    torch.testing.assert_close(third_in, first_in + first_out + second_out)


def test_attention_weights_sum_to_one_per_channel() -> None:
    weights = ContextAttention(4, 3, global_context=True)(torch.randn(2, 4, 7))
    assert weights.shape == (2, 4, 7)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 100}, "channels must be a multiple of res2net_scale.* got 100 and 8"),
        ({"res2net_scale": 1}, "got 512 and 1"),
        ({"dilations": ()}, r"dilations must be positive, one per block, got \(\)"),
        ({"embedding_dim": 0}, "embedding_dim must be positive, got 0"),
    ],
)
def test_sizes_that_do_not_fit_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ECAPATDNNConfig(**arguments)
