"""CAM++: masks by hand, sizes, and what is refused; its embeddings are in tests/unit/published/test_layouts.py."""

import pytest
import torch

from sv.models.campplus import CAMPlusPlus, CAMPlusPlusConfig, MaskedConvolution
from sv.models.pooling import mean_and_deviation


def test_a_mask_sees_the_mean_of_its_segment_and_of_all_frames() -> None:
    layer = MaskedConvolution(2, 1, dilation=1)
    with torch.no_grad():
        for value in layer.parameters():
            value.zero_()
        layer.local.weight[0, 0, 1] = 1  # passes the first channel
        layer.squeeze.weight[0, 1] = layer.expand.weight[0, 0] = 1  # the mask is of the second one
    values = torch.zeros(1, 2, 250)
    values[0, 0] = 1
    values[0, 1, :100], values[0, 1, 100:200], values[0, 1, 200:] = 1.0, 0.0, 3.0
    mean = (100 * 1 + 50 * 3) / 250
    expected = torch.sigmoid(
        torch.tensor([1.0, 0.0, 3.0]) + mean
    )  # the last segment is short, its mean is of 50 frames
    masked = layer(values)[0, 0]
    assert masked[[0, 99]].tolist() == pytest.approx([expected[0].item()] * 2)
    assert masked[[100, 199]].tolist() == pytest.approx([expected[1].item()] * 2)
    assert masked[[200, 249]].tolist() == pytest.approx([expected[2].item()] * 2)


def test_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in CAMPlusPlus(CAMPlusPlusConfig(embedding_dim=dim)).parameters()) for dim in (192, 512)
        ]
    assert sizes == [6_848_544, 7_176_224]


def test_a_constant_offset_of_the_features_does_not_matter() -> None:
    torch.manual_seed(0)
    model = CAMPlusPlus(CAMPlusPlusConfig(num_mel_bins=16, blocks=(1, 1, 1))).double().eval()
    features = torch.randn(1, 16, 50, dtype=torch.float64)
    torch.testing.assert_close(model.embed(features + torch.arange(16.0)[:, None]), model.embed(features))


def test_mean_and_unbiased_deviation_by_hand() -> None:
    found = mean_and_deviation(torch.tensor([[[1.0, 3.0, 8.0], [2.0, 2.0, 2.0]]]), variance_floor=0.25)
    assert found[0].tolist() == pytest.approx([4, 2, (13 + 0.25) ** 0.5, 0.5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_mel_bins": 81}, "num_mel_bins must be a multiple of 8, got 81"),
        ({"growth": 0}, "growth must be at least 1, got 0"),
        ({"bottleneck": 1}, "bottleneck must be at least 2, got 1"),
        ({"head_blocks": (2,)}, r"head_blocks must be 2 positive numbers, got \(2,\)"),
        ({"blocks": (1, 2)}, r"as many of each; got \(1, 2\) and \(1, 2, 2\)"),
        ({"variance_floor": -1.0}, "variance_floor must not be negative, got -1.0"),
    ],
)
def test_sizes_that_do_not_fit_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CAMPlusPlusConfig(**arguments)
