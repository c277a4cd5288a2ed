"""ResNetSE34L, ResNetSE34V2 and VGGVox: what the published code gives for the same weights and the same wave."""

import math

import numpy as np
import pytest
import torch
import torchaudio
from torch import nn

from sv.features import LogMel, LogMelConfig
from sv.models.resnet_se34 import ResNetSE34L, ResNetSE34LConfig, ResNetSE34V2, ResNetSE34V2Config
from sv.models.vggvox import VGGVox, VGGVoxConfig

LIGHT_FEATURES = LogMelConfig(num_mel_bins=40, n_fft=512, pre_emphasis=0.0, keep_length=True)
V2_FEATURES = LogMelConfig(num_mel_bins=64, n_fft=512, keep_length=True)
VGG_FEATURES = LogMelConfig(num_mel_bins=40, n_fft=512, pre_emphasis=0.0, keep_length=True, window="hann")


def chirp(count: int) -> torch.Tensor:
    t = np.arange(count)
    return torch.from_numpy(np.sin(0.37 * t**2 + 0.5 * t + 0.1))


def golden(model: nn.Module) -> nn.Module:
    norms = {
        f"{name}.{field}"
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for field in ("weight", "bias")
    }
    model = model.double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in norms:
                continue
            scale = 0.01
            if name == "attention":
                scale = 0.1
            elif parameter.ndim >= 2:
                scale = 2 / math.sqrt(parameter[0].numel())
            parameter.copy_(scale * chirp(parameter.numel()).reshape(parameter.shape))
    return model


@pytest.fixture(scope="module")
def waves() -> torch.Tensor:
    t = np.arange(64_480)
    wave = 0.1 * np.sin(2 * np.pi * 200 * t / 16_000) + 0.05 * np.sin(3.7e-5 * t**2 + 0.5 * t + 0.1)
    return torch.from_numpy(np.stack([wave[:32_240], 0.5 * wave[32_240:]]))


NETWORKS = [
    (
        ResNetSE34L(ResNetSE34LConfig()),
        LIGHT_FEATURES,
        1_437_078,
        (-4.001701, -6.997985, -8.663676),
        (-0.054309, -0.224406, -0.242778),
        (3.150200, -15.719518, 18.518808, 1.569321),
        (239.866961, 219.045500, 0.993784),
    ),
    (
        ResNetSE34L(ResNetSE34LConfig(pooling="statistics")),
        LIGHT_FEATURES,
        1_502_614,
        (-4.001701, -6.997985, -8.663676),
        (-0.054309, -0.224406, -0.242778),
        (-4.140503, 13.425700, -5.875986, -1.080961),
        (212.655454, 191.075988, 0.990949),
    ),
    (
        ResNetSE34V2(ResNetSE34V2Config()),
        V2_FEATURES,
        8_028_492,
        (-9.874160, -0.471315, -8.405369),
        (0.871231, 0.236877, -0.164073),
        (-4.717053, -18.941587, -3.124863, -14.429893),
        (1219.310340, 1178.147500, 0.674714),
    ),
    (
        ResNetSE34V2(ResNetSE34V2Config(pooling="mean")),
        V2_FEATURES,
        6_979_916,
        (-9.874160, -0.471315, -8.405369),
        (0.871231, 0.236877, -0.164073),
        (-0.608074, 3.904319, -24.703969, -51.829236),
        (1720.446898, 1718.737622, 0.692963),
    ),
    (
        VGGVox(VGGVoxConfig()),
        VGG_FEATURES,
        4_032_448,
        (-5.009003, -4.442632, -13.815388),
        (-0.113273, -0.110534, -0.322078),
        (7.077830, 2.285368, -1.461656, -1.557371),
        (97.670810, 63.243792, 0.941854),
    ),
]
NAMES = ["light mean", "light statistics", "v2 statistics", "v2 mean", "vggvox"]
BINS = (0, 5, 39)


def published_log_mel(config: LogMelConfig, waves: torch.Tensor) -> torch.Tensor:
    """The published front end in float64; its mel matrix has the rounding errors of float32."""
    make = torch.hamming_window if config.window == "hamming" else torch.hann_window
    spectrogram = torchaudio.transforms.MelSpectrogram(
        n_fft=512, win_length=400, hop_length=160, window_fn=make, n_mels=config.num_mel_bins
    ).double()
    before = torch.cat([waves[:, 1:2], waves[:, :-1]], dim=1)
    return (spectrogram(waves - config.pre_emphasis * before) + 1e-6).log()


@pytest.mark.parametrize(
    ("model", "features", "size", "log_mel", "normalised", "first", "summary"), NETWORKS, ids=NAMES
)
def test_published_output(model, features, size, log_mel, normalised, first, summary, waves) -> None:
    assert sum(parameter.numel() for parameter in model.parameters()) == size
    with torch.no_grad():
        mels = published_log_mel(features, waves)
        embeddings = golden(model).embed(mels)
    assert mels.shape == (2, features.num_mel_bins, 202)
    assert mels[0, BINS, 100].tolist() == pytest.approx(log_mel, abs=1e-6)
    centred = nn.functional.instance_norm(mels)
    assert centred[0, BINS, 100].tolist() == pytest.approx(normalised, abs=1e-6)
    norms = embeddings.norm(dim=1)
    # The front end's last bits move the embeddings by nearly 1e-5 of their length, and they differ between its versions.
    assert embeddings[0, :4].tolist() == pytest.approx(first, abs=1e-5 * float(norms[0]))
    found = [*norms.tolist(), nn.functional.cosine_similarity(*embeddings, dim=0).item()]
    assert found == pytest.approx(summary, rel=1e-5)


@pytest.mark.parametrize("features", [LIGHT_FEATURES, V2_FEATURES, VGG_FEATURES])
def test_features_are_the_published_ones(features, waves) -> None:
    torch.testing.assert_close(LogMel(features).double()(waves), published_log_mel(features, waves), rtol=0, atol=5e-4)
    found = LogMel(features)(waves.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, published_log_mel(features, waves).float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("number", [0, 2, 4])
def test_single_precision_agrees(number, waves) -> None:
    model, features, *_, first, summary = NETWORKS[number]
    with torch.no_grad():
        embedding = golden(model).float().embed(LogMel(features)(waves.float()))[0, :4]
    assert embedding.tolist() == pytest.approx(first, abs=1e-3 * summary[0])


@pytest.mark.parametrize(
    ("scale", "expected"), [(1.0, (-0.008774, 0.237309, -0.256536)), (32768.0, (0.824593, 0.236877, -0.162276))]
)
def test_quiet_audio_depends_on_the_input_scale(scale, expected, waves) -> None:
    config = LogMelConfig(num_mel_bins=64, n_fft=512, keep_length=True, input_scale=scale)
    with torch.no_grad():
        found = nn.functional.instance_norm(LogMel(config).double()(0.01 * waves))
    assert found[0, BINS, 100].tolist() == pytest.approx(expected, abs=2e-5)


def test_vggvox_poolings_by_hand() -> None:
    values = torch.tensor([[1.0, 5.0], [2.0, -4.0]]).repeat(256, 1)[None]
    for pooling, expected in (("mean", [3.0, -1.0]), ("max", [5.0, 2.0])):
        assert VGGVox(VGGVoxConfig(pooling=pooling)).pool(values)[0, :2].tolist() == expected


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        (ResNetSE34LConfig, {"num_mel_bins": 42}, "num_mel_bins must be a multiple of 8, got 42"),
        (ResNetSE34V2Config, {"channels": (32, 64)}, "channels must be 4 positive numbers"),
        (ResNetSE34V2Config, {"embedding_dim": 0}, "embedding_dim must be positive, got 0"),
        (VGGVoxConfig, {"num_mel_bins": 64}, "num_mel_bins must be 40, got 64"),
        (VGGVoxConfig, {"embedding_dim": 0}, "embedding_dim must be positive, got 0"),
    ],
)
def test_sizes_that_no_network_has_are_named(config, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        config(**arguments)
