"""The LSTM against TensorFlow's cell, written out here, and the published networks' sizes."""

import numpy as np
import pytest
import torch
from torch import nn

from sv.models.ge2e_lstm import GE2ELSTM, GE2ELSTMConfig

SEED = GE2ELSTMConfig()
PAPER = GE2ELSTMConfig(hidden=768, projection=256)
HARRYVOLEK = GE2ELSTMConfig(hidden=768, projection=0, head="linear", cell="torch")
RESEMBLYZER = GE2ELSTMConfig(hidden=256, projection=0, head="linear_relu", cell="torch")


def chirp(n, a, b, c):
    t = np.arange(n, dtype=np.float64)
    return np.sin(a * t**2 + b * t + c)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def tensorflow_layer(inputs, kernel, bias, projection):
    """LSTMCell(num_units, num_proj) of TensorFlow 1 over (frames, dim): gates in the order input, candidate, forget, output."""
    cell, output, outputs = np.zeros(len(projection)), np.zeros(projection.shape[1]), []
    for frame in inputs:
        gate_i, candidate, gate_f, gate_o = np.split(np.concatenate([frame, output]) @ kernel + bias, 4)
        cell = sigmoid(gate_f + 1) * cell + sigmoid(gate_i) * np.tanh(candidate)
        output = (sigmoid(gate_o) * np.tanh(cell)) @ projection
        outputs.append(output)
    return np.array(outputs)


def load_tensorflow(model, layer, kernel, bias, projection):
    """Copy TensorFlow's weights into a layer of ours."""
    num_inputs = kernel.shape[0] - projection.shape[1]
    ours = np.concatenate([np.split(kernel, 4, axis=1)[i] for i in (0, 2, 1, 3)], axis=1)
    biases = np.concatenate([np.split(bias, 4)[i] + (i == 2) for i in (0, 2, 1, 3)])
    values = {"weight_ih": ours[:num_inputs].T, "weight_hh": ours[num_inputs:].T, "bias_ih": biases}
    values |= {"weight_hr": projection.T}
    with torch.no_grad():
        for name, value in values.items():
            getattr(model.lstm, f"{name}_l{layer}").copy_(torch.from_numpy(value))


def test_gate_order_and_forget_bias_of_the_published_cell():
    kernel, bias = 0.5 * chirp(80, 0.37, 0.5, 0.1).reshape(5, 16), 0.1 * chirp(16, 0.11, 0.9, 0.2)
    projection, inputs = 0.5 * chirp(8, 0.23, 0.7, 0.4).reshape(4, 2), chirp(15, 0.05, 0.3, 0.7).reshape(5, 3)
    golden = [0.018814, 0.120981]
    assert tensorflow_layer(inputs, kernel, bias, projection)[-1] == pytest.approx(golden, abs=1e-6)
    model = GE2ELSTM(GE2ELSTMConfig(num_mel_bins=3, hidden=4, projection=2, num_layers=1)).double()
    load_tensorflow(model, 0, kernel, bias, projection)
    embedding = model.embed(torch.from_numpy(inputs.T)[None])
    assert embedding[0].tolist() == pytest.approx(golden, abs=1e-6)


def test_three_layers_are_tensorflows():
    rng = np.random.default_rng(0)
    model = GE2ELSTM(GE2ELSTMConfig(num_mel_bins=5, hidden=6, projection=4)).double()
    inputs = expected = rng.standard_normal((7, 5))
    for layer in range(3):
        shape = (expected.shape[1] + 4, 24)
        weights = 0.5 * rng.standard_normal(shape), 0.3 * rng.standard_normal(24), rng.standard_normal((6, 4))
        load_tensorflow(model, layer, *weights)
        expected = tensorflow_layer(expected, *weights)
    embedding = model.embed(torch.from_numpy(inputs.T)[None])[0].detach().numpy()
    np.testing.assert_allclose(embedding, expected[-1], rtol=1e-10)


@pytest.mark.parametrize(
    ("config", "count"), [(SEED, 210_432), (PAPER, 4_654_080), (HARRYVOLEK, 12_134_656), (RESEMBLYZER, 1_423_616)]
)
def test_trained_parameters_of_the_published_networks(config, count):
    with torch.device("meta"):
        model = GE2ELSTM(config)
    assert sum(weight.numel() for weight in model.parameters() if weight.requires_grad) == count


@pytest.mark.parametrize(("config", "relu"), [(HARRYVOLEK, False), (RESEMBLYZER, True)])
def test_networks_with_a_head_are_an_lstm_and_a_linear_layer(config, relu):
    small = GE2ELSTMConfig(num_mel_bins=5, hidden=8, projection=0, head=config.head, head_dim=6, cell="torch")
    torch.manual_seed(0)
    model, plain, head = GE2ELSTM(small), nn.LSTM(5, 8, 3, batch_first=True), nn.Linear(8, 6)
    model.lstm.load_state_dict(plain.state_dict())
    model.linear.load_state_dict(head.state_dict())
    features = torch.randn(2, 5, 9)
    _, (state, _) = plain(features.transpose(1, 2))
    expected = head(state[-1]).relu() if relu else head(state[-1])
    torch.testing.assert_close(model(features).embedding, expected)
    assert model(features).enhanced is None
    assert small.embedding_dim == 6


def test_what_follows_the_valid_frames_has_no_influence():
    torch.manual_seed(0)
    model = GE2ELSTM(GE2ELSTMConfig(num_mel_bins=5, hidden=8, projection=4))
    features, lengths = torch.randn(3, 5, 10), torch.tensor([10, 4, 7])
    batched = model.embed(features, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(batched[row], model.embed(features[row : row + 1, :, :length])[0])


def test_initial_weights_of_the_tensorflow_cell():
    torch.manual_seed(0)
    lstm = GE2ELSTM(SEED).lstm
    limits = {"ih_l0": (40 + 64 + 512), "hh_l0": (40 + 64 + 512), "ih_l2": (64 + 64 + 512), "hr_l1": 128 + 64}
    for name, fans in limits.items():
        weight = getattr(lstm, f"weight_{name}")
        assert weight.abs().max().item() == pytest.approx((6 / fans) ** 0.5, rel=0.01)
        assert weight.std().item() == pytest.approx((2 / fans) ** 0.5, rel=0.03)
    assert lstm.bias_ih_l1.reshape(4, 128)[:, 0].tolist() == [0, 1, 0, 0]
    assert not lstm.bias_hh_l1.any() and not lstm.bias_hh_l1.requires_grad
    assert len(GE2ELSTM(SEED).projections()) == 3 and not GE2ELSTM(RESEMBLYZER).projections()


def test_initial_weights_of_the_torch_cell():
    torch.manual_seed(0)
    lstm = GE2ELSTM(RESEMBLYZER).lstm
    assert lstm.weight_hh_l1.std().item() == pytest.approx((2 / (1024 + 256)) ** 0.5, rel=0.02)
    assert not lstm.bias_ih_l0.any() and lstm.bias_hh_l0.requires_grad


def test_sizes_that_make_no_network_are_refused():
    with pytest.raises(ValueError, match="hidden must be positive, got 0"):
        GE2ELSTMConfig(hidden=0)
    with pytest.raises(ValueError, match=r"projection must be smaller than hidden \(8\), 0 for none; got 8"):
        GE2ELSTMConfig(hidden=8, projection=8)
