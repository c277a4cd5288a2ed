import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sv.models import MODELS
from sv.models.rawnet.blocks import AlphaScaling, FeatureMapScaling, RawBlock, encode, waveforms_of
from sv.models.rawnet.keras_gru import KerasGRU, hard_sigmoid
from sv.models.rawnet.rawnet2 import SegmentNorm
from sv.models.rawnet.rawnet3 import ContextAttention, Res2Block


@pytest.mark.parametrize(
    ("kind", "combine"),
    [
        ("mul", lambda x, s: x * s),
        ("add", lambda x, s: x + s),
        ("mul_add", lambda x, s: x * s + s),
        ("add_mul", lambda x, s: (x + s) * s),
    ],
)
def test_kinds_of_feature_map_scaling(kind: str, combine) -> None:
    scaling, maps = FeatureMapScaling(4, kind), torch.randn(2, 4, 9)
    gates = torch.sigmoid(scaling.fc(maps.mean(dim=2)))[:, :, None]
    torch.testing.assert_close(scaling(maps), combine(maps, gates))


def test_alpha_scaling_takes_its_gates_before_adding_alpha() -> None:
    scaling, maps = AlphaScaling(4), torch.randn(2, 4, 9)
    assert torch.equal(scaling.alpha, torch.ones(4, 1))
    with torch.no_grad():
        scaling.alpha.copy_(torch.tensor([[1.0], [-2.0], [0.5], [3.0]]))
    gates = torch.sigmoid(scaling.fc(maps.mean(dim=2)))[:, :, None]
    torch.testing.assert_close(scaling(maps), (maps + scaling.alpha) * gates)


def test_a_block_without_preactivation_has_no_first_norm() -> None:
    block = RawBlock(4, 6, preactivated=False, scaling="none").eval()
    maps = torch.randn(1, 4, 10)
    hidden = block.conv2(F.leaky_relu(block.bn2(block.conv1(maps)), 0.3)) + block.conv_downsample(maps)
    torch.testing.assert_close(block(maps), F.max_pool1d(hidden, 3))
    assert block.bn1 is None
    assert block(maps).shape == (1, 6, 3)


def test_hard_sigmoid_is_keras() -> None:
    values = torch.tensor([-3.0, -2.5, -1.0, 0.0, 2.0, 2.5, 9.0])
    torch.testing.assert_close(hard_sigmoid(values), torch.tensor([0.0, 0.0, 0.3, 0.5, 0.9, 1.0, 1.0]))


def test_keras_gru_by_its_equations() -> None:
    torch.manual_seed(0)
    gru, frames = KerasGRU(3, 5).eval(), 2 * torch.randn(2, 7, 3)
    torch.nn.init.normal_(gru.bias)
    kernel, recurrent, bias = (value.detach().numpy() for value in (gru.weight_ih, gru.weight_hh, gru.bias))
    state = np.zeros((2, 5))
    for frame in frames.numpy().transpose(1, 0, 2):
        z, r, h = np.split(frame @ kernel.T + bias, 3, axis=1)
        of_z, of_r, of_h = np.split(recurrent, 3)
        z = np.clip(0.2 * (z + state @ of_z.T) + 0.5, 0, 1)
        r = np.clip(0.2 * (r + state @ of_r.T) + 0.5, 0, 1)
        state = z * state + (1 - z) * np.tanh(h + (r * state) @ of_h.T)
    np.testing.assert_allclose(gru(frames).detach().numpy(), state, atol=1e-5)


def test_recurrent_dropout_keeps_its_draw_over_the_steps_and_is_off_in_evaluation() -> None:
    gru, frames = KerasGRU(2, 400, recurrent_dropout=0.5), torch.zeros(1, 1, 2)
    with torch.no_grad():
        gru.bias[400:].fill_(10.0)  # reset open; candidate tanh(10)
        gru.bias[:400].fill_(-10.0)  # update closed: the state is the candidate
        gru.weight_hh.zero_()
        gru.weight_hh[800:] = -0.5 * torch.eye(400) * 20
    once, twice = gru.train()(frames), gru(frames.repeat(1, 2, 1))
    torch.testing.assert_close(once, torch.ones_like(once))
    hidden = (twice > 0.9).float().mean().item()  # units whose candidate did not see the state
    assert hidden == pytest.approx(0.5, abs=0.1)
    assert torch.equal(gru.eval()(frames.repeat(1, 2, 1)), gru(frames.repeat(1, 2, 1)))


def test_segment_norm_divides_by_the_unbiased_deviation_plus_epsilon() -> None:
    norm, waveforms = SegmentNorm(6), torch.randn(2, 6)
    with torch.no_grad():
        norm.gamma.normal_()
        norm.beta.normal_()
    mean, std = waveforms.mean(dim=1, keepdim=True), waveforms.std(dim=1, keepdim=True)
    torch.testing.assert_close(norm(waveforms), norm.gamma * (waveforms - mean) / (std + 1e-6) + norm.beta)
    assert not SegmentNorm(None)(torch.full((1, 8), 0.25)).any()


def test_context_attention_is_that_of_the_concatenated_statistics() -> None:
    attention, maps = ContextAttention(6, 4).eval(), torch.randn(2, 6, 11)
    mean = maps.mean(dim=2, keepdim=True).expand_as(maps)
    std = maps.var(dim=2, keepdim=True).clamp(1e-4, 1e4).sqrt().expand_as(maps)
    layers = list(attention)
    expected = torch.cat([maps, mean, std], dim=1)
    for layer in layers:
        expected = layer(expected)
    torch.testing.assert_close(attention(maps), expected)


def test_the_last_group_of_a_res2_block_passes_through() -> None:
    block = Res2Block(8, 8, scale=4, dilation=2, pool=1).eval()
    entered = {}
    block.conv3.register_forward_pre_hook(lambda _, inputs: entered.update(conv3=inputs[0]))
    maps = torch.randn(1, 8, 20)
    block(maps)
    groups = block.bn1(F.relu(block.conv1(maps))).split(2, dim=1)
    torch.testing.assert_close(entered["conv3"][:, 6:], groups[3])
    first = block.bns[0](F.relu(block.convs[0](groups[0])))
    torch.testing.assert_close(entered["conv3"][:, :2], first)
    second = block.bns[1](F.relu(block.convs[1](first + groups[1])))
    torch.testing.assert_close(entered["conv3"][:, 2:4], second)


def test_pre_emphasis_takes_one_sample() -> None:
    waveforms = torch.tensor([[[1.0, 2.0, 4.0, 3.0]]])
    torch.testing.assert_close(waveforms_of(waveforms, 1, 0.5), torch.tensor([[1.5, 3.0, 1.0]]))
    assert torch.equal(waveforms_of(waveforms, 4), waveforms[:, 0])


SHORTEST = {"rawnet1": 2188, "rawnet1_cnn": 6562, "rawnet1_pytorch": 2188, "rawnet2_modified": 2188, "rawnet3": 541}


@pytest.mark.parametrize(("name", "num_samples"), SHORTEST.items())
def test_the_shortest_waveform_makes_a_frame_and_a_shorter_one_is_refused(name: str, num_samples: int) -> None:
    config_class, module = MODELS[name]
    widths = {"channels": 16, "pooled_channels": 8} if name == "rawnet3" else {"channels": (4,) * 6}
    model = module(config_class(**widths, embedding_dim=3)).eval()
    assert torch.isfinite(model.embed(torch.randn(1, 1, num_samples))).all()
    assert torch.isfinite(model.embed(torch.zeros(1, 1, num_samples))).all()  # digital silence
    with pytest.raises(ValueError, match=f"needs at least {num_samples} samples, got {num_samples - 1}"):
        model.embed(torch.randn(1, 1, num_samples - 1))


@pytest.mark.parametrize(("front_end", "num_samples"), [("sinc", 2437), ("strided", 2187)])
def test_the_shortest_waveform_of_rawnet2(front_end: str, num_samples: int) -> None:
    config_class, module = MODELS["rawnet2"]
    config = config_class(front_end=front_end, ln_affine="none", channels=(4,) * 6, gru_dim=4, embedding_dim=3)
    model = module(config).eval()
    assert torch.isfinite(model.embed(torch.randn(1, 1, num_samples))).all()
    assert torch.isfinite(model.embed(torch.zeros(1, 1, num_samples))).all()
    with pytest.raises(ValueError, match=f"needs at least {num_samples} samples"):
        model.embed(torch.randn(1, 1, num_samples - 1))


def test_rawnet2_with_an_affine_map_a_sample_reads_one_length() -> None:
    config_class, module = MODELS["rawnet2"]
    model = module(config_class(num_samples=3000, channels=(4,) * 6, gru_dim=4, embedding_dim=3)).eval()
    with pytest.raises(ValueError, match="segments of exactly 3000 samples, got 3001; ln_affine = "):
        model.embed(torch.randn(1, 1, 3001))


def test_features_that_are_no_waveforms_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reads features \(batch, 1, samples\), got \(2, 64, 100\)"):
        waveforms_of(torch.zeros(2, 64, 100), 10)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("rawnet1", {"channels": ()}, "all widths must be positive and there must be two blocks"),
        ("rawnet1_cnn", {"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ("rawnet1_pytorch", {"gru_dim": 0}, "all widths must be positive"),
        ("rawnet2", {"channels": (0,)}, "channels must be positive numbers, one per block"),
        ("rawnet2", {"gru_dim": 0}, "gru_dim and embedding_dim must be positive"),
        ("rawnet2", {"num_samples": 2000}, "num_samples must be at least 2437, got 2000"),
        ("rawnet2_modified", {"blocks": (1,)}, "channels and blocks must be positive numbers, one of each per layer"),
        ("rawnet2_modified", {"attention_dim": 0}, "attention_dim and embedding_dim must be positive"),
        ("rawnet3", {"channels": 100}, "channels must be a multiple of 8 and of scale 8, got 100"),
        ("rawnet3", {"scale": 1}, "all sizes must be positive and scale at least 2"),
    ],
)
def test_configs_refuse_what_makes_no_model(name: str, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODELS[name][0](**settings)


def test_size_of_the_papers_rawnet1() -> None:
    config_class, module = MODELS["rawnet1"]
    parameters = sum(parameter.numel() for parameter in module(config_class()).parameters())
    assert parameters + 128 * 1211 == pytest.approx(5.93e6, abs=5e3)  # with its classifier of 1211 speakers


def test_equal_waveforms_at_the_end_of_a_batch_are_encoded_once() -> None:
    seen = []

    def encoder(waveforms):
        seen.append(len(waveforms))
        return waveforms[:, None] ** 2

    model = torch.nn.Identity()
    waveforms = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(encode(encoder, model.eval(), waveforms), waveforms[:, None] ** 2, rtol=0, atol=0)
    assert seen == [1, 1, 1, 1]  # the silence at the start is no filling
    seen.clear()
    torch.testing.assert_close(encode(encoder, model.train(), waveforms), waveforms[:, None] ** 2, rtol=0, atol=0)
    assert seen == [6]
