import pytest
import torch
import torch.nn.functional as F

from sv.models.resnet import ResidualEncoder, TrunkConfig, normalised_map


def test_normalised_map_has_zero_mean_and_unit_variance_per_mel() -> None:
    maps = normalised_map(torch.randn(2, 8, 50) * 4 - 6)
    assert maps.shape == (2, 1, 8, 50)
    torch.testing.assert_close(maps.mean(dim=-1), torch.zeros(2, 1, 8), atol=1e-5, rtol=0)
    torch.testing.assert_close(maps.var(dim=-1, unbiased=False), torch.ones(2, 1, 8), atol=1e-4, rtol=0)


def test_trunk_of_three_stacked_maps_with_mels_as_channels_has_the_size_counted_by_hand() -> None:
    encoder = ResidualEncoder(TrunkConfig(num_mel_bins=80), in_channels=3, mels_as_channels=True)
    baseline = ResidualEncoder(TrunkConfig())
    wide, narrow, embedding = 128 * 10, 128, 128

    def head(pooled: int) -> int:
        hidden = pooled // 8
        attention = pooled * hidden + hidden + 2 * hidden + hidden * pooled + pooled
        return attention + 4 * pooled + 2 * pooled * embedding + embedding + 2 * embedding

    stem_difference = (3 - 1) * 16 * 49
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (encoder, baseline)]
    assert counts[0] - counts[1] == stem_difference + head(wide) - head(narrow)


@pytest.mark.parametrize("mels_as_channels", [False, True])
def test_pooled_axes(mels_as_channels: bool) -> None:
    config = TrunkConfig(num_mel_bins=16, channels=(8, 8, 8, 8), blocks=(1, 1, 1, 1), embedding_dim=4)
    encoder = ResidualEncoder(config, mels_as_channels=mels_as_channels).eval()
    maps = torch.randn(2, 8, 2, 5)
    values = maps.reshape(2, 16, 5) if mels_as_channels else maps.reshape(2, 8, 10)
    weights = encoder.attention(values)
    mean = (weights * values).sum(-1)
    std = ((weights * (values - mean[..., None]).square()).sum(-1)).clamp_min(1e-5).sqrt()
    expected = encoder.bn_code(F.linear(encoder.bn_agg(torch.cat([mean, std], 1)), encoder.fc.weight, encoder.fc.bias))
    torch.testing.assert_close(encoder.pool(maps), expected, rtol=1e-4, atol=1e-5)
