"""SE-ResNet, U-Net, ExU-Net and Diff-SV: published checkpoints to model folders."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sv.features.segments import SegmentConfig, segment_starts
from sv.models import MODELS
from sv.models.diff_sv import SamplingConfig
from sv.published.convert import CheckpointError, convert_checkpoint
from sv.system.folder import load_model

LIGHT = {"channels": (4, 8, 8, 16), "blocks": (1, 2, 1, 1), "embedding_dim": 12}


def light_model(system: str, num_mel_bins: int = 64) -> torch.nn.Module:
    config, model_class = MODELS[system]
    return model_class(config(**LIGHT, num_mel_bins=num_mel_bins)).eval()


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(
    ("system", "num_mel_bins"), [("se_resnet", 64), ("unet", 64), ("exu_net", 64), ("exu_net", 32)]
)
def test_converted_weights_and_config_give_the_same_embedding(
    system: str, num_mel_bins: int, prefix: str, tmp_path: Path
) -> None:
    published = light_model(system, num_mel_bins)
    torch.save({prefix + name: value for name, value in published.state_dict().items()}, tmp_path / "published.pt")
    convert_checkpoint(system, tmp_path / "published.pt", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["features"]["type"] == "log_mel"
    assert config["features"]["num_mel_bins"] == num_mel_bins
    assert config["model"].pop("type") == config["name"] == system
    assert config["model"] == {**_lists(LIGHT), "num_mel_bins": num_mel_bins}
    model = light_model(system, num_mel_bins)
    model.load_state_dict(torch.load(tmp_path / "model" / "checkpoints" / "best.pt", weights_only=True)["model"])
    features = torch.randn(1, num_mel_bins, 16)
    torch.testing.assert_close(model.embed(features), published.embed(features), rtol=0, atol=0)


DIFF_SV = {
    **LIGHT,
    "channels": (8, 8, 8, 16),
    "num_mel_bins": 16,
    "enhancer_layers": 2,
    "enhancer_channels": 12,
    "score_channels": 8,
}


def published_diff_sv(prefix: str = "") -> tuple[torch.nn.Module, dict]:
    """A model, and the training state that the published code would save of it."""
    config, model_class = MODELS["diff_sv"]
    model = model_class(config(**DIFF_SV)).eval()
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + hz / 700) for hz in (20, 7600)), 18) / 2595) - 1)
    filters = [np.interp(np.linspace(0, 8000, 257), edges[m : m + 3], [0, 1, 0]) for m in range(16)]
    buffers = {
        "torchfbank.0.flipped_filter": torch.tensor([[[-0.97, 1.0]]]),
        "torchfbank.1.spectrogram.window": torch.hamming_window(400),
        "torchfbank.1.mel_scale.fb": torch.from_numpy(np.array(filters).T).float(),
    }
    weights = {prefix + name: value for name, value in {**model.state_dict(), **buffers}.items()}
    state = {"epoch": 3, "model": weights, "optimizer": {"state": {}}, "lr_scheduler": {"eta_max": np.float64(1e-2)}}
    return model, state


@pytest.mark.parametrize("prefix", ["", "module."])
def test_diff_sv_is_taken_from_the_training_state_without_its_front_end(prefix: str, tmp_path: Path) -> None:
    published, state = published_diff_sv(prefix)
    torch.save(state, tmp_path / "published.pt")
    convert_checkpoint("diff_sv", tmp_path / "published.pt", tmp_path / "model")
    system, _, model = load_model(tmp_path / "model")
    assert (system.features.num_mel_bins, system.features.low_hz, system.features.high_hz) == (16, 20, 7600)
    assert system.features.keep_length and system.features.subtract_mean
    assert system.model == MODELS["diff_sv"][0](**DIFF_SV, sampling=SamplingConfig(num_draws=4))
    assert system.extract == SegmentConfig(segment_samples=159_920, scheme="even", num_segments=4)
    assert segment_starts(200_000, system.extract) == [0, 13_360, 26_720, 40_080]
    published.config = system.model
    features = torch.randn(1, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(model.embed(features), published.embed(features), rtol=0, atol=0)


def test_bare_weights_of_diff_sv_will_do(tmp_path: Path) -> None:
    published, _ = published_diff_sv()
    torch.save(published.state_dict(), tmp_path / "published.pt")
    convert_checkpoint("diff_sv", tmp_path / "published.pt", tmp_path / "model")
    weights = torch.load(tmp_path / "model" / "checkpoints" / "best.pt", weights_only=True)["model"]
    assert weights.keys() == published.state_dict().keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("denoiser.model.mid_attn.fn.g"), r"missing: denoiser.model.mid_attn.fn.g"),
        (lambda weights: weights.update(extra=torch.zeros(1)), "unknown: extra"),
        (lambda weights: weights.pop("denoiser.model.final_conv.weight"), "it has no denoiser.model.final_conv.weight"),
        (lambda weights: weights.update({"fc.bias": torch.zeros(3)}), r"shapes: fc.bias is \(3,\), not \(12,\)"),
        (
            lambda weights: weights["torchfbank.1.mel_scale.fb"].mul_(2),
            "its front end has other mel filters than the published Diff-SV code",
        ),
    ],
)
def test_what_does_not_fit_diff_sv_is_named_and_nothing_written(change, message: str, tmp_path: Path) -> None:
    _, state = published_diff_sv()
    change(state["model"])
    torch.save(state, tmp_path / "published.pt")
    with pytest.raises(CheckpointError, match=f"published.pt: .*{message}"):
        convert_checkpoint("diff_sv", tmp_path / "published.pt", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def _lists(record: dict) -> dict:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in record.items()}


def test_published_sizes_are_the_defaults(tmp_path: Path) -> None:
    config, model_class = MODELS["exu_net"]
    torch.save(model_class(config()).state_dict(), tmp_path / "published.pt")
    convert_checkpoint("exu_net", tmp_path / "published.pt", tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())["model"]
    assert written == {
        "type": "exu_net",
        "num_mel_bins": 64,
        "channels": [16, 32, 64, 128],
        "blocks": [3, 4, 6, 3],
        "embedding_dim": 128,
    }


def damaged(tmp_path: Path, kind: str) -> Path:
    path, state = tmp_path / "published.pt", light_model("exu_net").state_dict()
    if kind == "text":
        path.write_text("no checkpoint")
    elif kind == "code":
        torch.save({"model": light_model("exu_net")}, path)
    elif kind == "missing":
        torch.save({name: value for name, value in state.items() if name != "u_res_1.0.bn1.bias"}, path)
    elif kind == "additional":
        torch.save({**state, "classifier.weight": torch.zeros(3, 12)}, path)
    elif kind == "shape":
        torch.save({**state, "uconv_4.weight": torch.zeros(8, 1, 3, 1)}, path)
    else:
        torch.save(light_model("se_resnet").state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "not a PyTorch checkpoint of tensors only: damaged, cut short or of another kind"),
        ("code", "not a PyTorch checkpoint of tensors only: it asks for sv.models.exu_net.ExUNet, which is not read"),
        ("missing", "not a checkpoint of exu_net: missing: u_res_1.0.bn1.bias"),
        ("additional", "not a checkpoint of exu_net: unknown: classifier.weight"),
        ("shape", "not a checkpoint of exu_net: shapes: uconv_4.weight is .*, not "),
        ("other system", "not a checkpoint of exu_net: it has no d_res_1.0.conv1.weight"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_written(kind: str, message: str, tmp_path: Path) -> None:
    path = damaged(tmp_path, kind)
    with pytest.raises(CheckpointError, match=f"published.pt: {message}"):
        convert_checkpoint("exu_net", path, tmp_path / "model")
    assert not (tmp_path / "model").exists()
