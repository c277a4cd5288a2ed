"""Masks over mel bins and frames."""

import pytest
import torch

from sv.base.config import ConfigError
from sv.features.masks import MaskConfig, mask_features
from sv.system.config import parse_system

SHAPE = (200, 20, 30)


def masked(seed: int = 0, **options) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and what the masks leave of them."""
    features = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)) + 5.0
    torch.manual_seed(seed)
    return features, mask_features(features, MaskConfig(**{"prob": 1.0, **options}))


def hidden(options: dict) -> torch.Tensor:
    """(batch, mels, frames): True where a value is its mel bin's mean instead of itself."""
    features, result = masked(**options)
    changed = (result - features).abs() > 1e-5
    means = features.mean(dim=2, keepdim=True).expand(SHAPE)
    torch.testing.assert_close(result[changed], means[changed], atol=1e-5, rtol=0)
    return changed


def test_bands_of_mel_bins_are_hidden_in_all_frames() -> None:
    bands = hidden({"frame_masks": 0, "max_mels": 6})
    assert torch.equal(bands.any(dim=2), bands.all(dim=2))
    widths = bands.all(dim=2).sum(dim=1)
    assert widths.max() <= 6 and widths.unique().numel() >= 5


def test_stretches_of_frames_are_hidden_in_all_bins_and_are_each_utterances_own() -> None:
    frames = hidden({"mel_masks": 0, "max_frames": 7}).all(dim=1)
    assert frames.sum(dim=1).max() <= 7
    starts = frames.float().argmax(dim=1)[frames.any(dim=1)]
    assert starts.unique().numel() > 15
    for row in frames[frames.any(dim=1)]:  # in one piece
        assert (row.int().diff() == 1).sum() + row[0].int() == 1


def test_a_share_of_the_utterances_is_masked_and_draws_are_of_the_generator() -> None:
    features, result = masked(prob=0.3, max_frames=10)
    share = (result != features).flatten(1).any(dim=1).float().mean()
    assert 0.18 < share < 0.4
    assert torch.equal(masked(prob=0.3)[1], masked(prob=0.3)[1])
    assert not torch.equal(masked(prob=0.3)[1], masked(1, prob=0.3)[1])


def test_masks_wider_than_the_features_and_what_is_out_of_range() -> None:
    hidden({"max_mels": 100, "max_frames": 100})
    with pytest.raises(ValueError, match=r"prob must be in \[0, 1\], got 1\.5"):
        MaskConfig(prob=1.5)
    with pytest.raises(ValueError, match="max_mels must not be negative"):
        MaskConfig(max_mels=-1)


def test_a_system_that_reads_waveforms_has_nothing_to_mask() -> None:
    tables = {
        "features": {"type": "waveform"},
        "model": {"type": "rawnet2"},
        "loss": {"type": "norm_softmax"},
        "train": {"masks": {"prob": 0.6}},
    }
    with pytest.raises(
        ConfigError, match=r'x\.toml: train\.masks hide mel bins .* features\.type = "waveform" has none'
    ):
        parse_system(tables, "x.toml")
