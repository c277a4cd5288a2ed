"""GE2E checkpoints in their authors' shapes to model folders."""

import json

import numpy as np
import pytest
import torch

from sv.features.segments import compute_features
from sv.published.convert import CheckpointError, convert_checkpoint
from sv.system.folder import load_model


def embedding_of(model_dir, features):
    _, _, model = load_model(model_dir)
    with torch.no_grad():
        return model.embed(features)


def test_a_bare_state_dict(ge2e, tmp_path):
    stack, head, state = ge2e("LSTM_stack", "projection")
    torch.save(state, tmp_path / "final.model")
    convert_checkpoint("harryvolek", tmp_path / "final.model", tmp_path / "model")
    features = torch.randn(2, 40, 30)
    with torch.no_grad():
        expected = head(stack(features.transpose(1, 2))[0][:, -1])
    torch.testing.assert_close(embedding_of(tmp_path / "model", features), expected)
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config["features"]["log"] and config["features"]["n_fft"] == 512
    assert config["extract"]["step_samples"] == 12_800


def test_a_training_state_with_the_parameters_of_its_loss(ge2e, tmp_path):
    stack, head, state = ge2e("lstm", "linear")
    state |= {"similarity_weight": torch.tensor([10.0]), "similarity_bias": torch.tensor([-5.0])}
    torch.save({"step": 7, "model_state": state, "optimizer_state": {"lr": 1e-4}}, tmp_path / "pretrained.pt")
    convert_checkpoint("resemblyzer", tmp_path / "pretrained.pt", tmp_path / "model")
    system, frontend, _ = load_model(tmp_path / "model")
    samples = 0.001 * np.random.default_rng(0).standard_normal(40_000).astype(np.float32)
    windows = torch.from_numpy(compute_features(frontend, samples, system.extract)).reshape(2, 160, 40)
    with torch.no_grad():
        expected = head(stack(windows)[0][:, -1]).relu()
    torch.testing.assert_close(embedding_of(tmp_path / "model", windows.transpose(1, 2)), expected)
    # Power, not its logarithm; the level raised to -30 dBFS, that is by a factor of about 31.6.
    quiet = torch.from_numpy(samples * (10**-1.5 / np.sqrt(np.mean(samples**2))).astype(np.float32))
    torch.testing.assert_close(windows[0, 5], frontend(quiet[None])[0, :, 5], rtol=1e-4, atol=1e-6)
    assert system.extract.step_samples == 77 * 160


def test_another_systems_checkpoint_is_refused(ge2e, tmp_path):
    _, _, state = ge2e("lstm", "linear")
    torch.save({"LSTM.weight": torch.zeros(1)}, tmp_path / "a.pt")
    with pytest.raises(
        CheckpointError, match=r"a.pt: not a checkpoint of harryvolek: it has no LSTM_stack.weight_hh_l0"
    ):
        convert_checkpoint("harryvolek", tmp_path / "a.pt", tmp_path / "model")
    torch.save({"model_state": state | {"lstm.extra": torch.zeros(1)}}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match=r"b.pt: not a checkpoint of resemblyzer: unknown: lstm\.extra"):
        convert_checkpoint("resemblyzer", tmp_path / "b.pt", tmp_path / "model")
    assert not (tmp_path / "model").exists()
