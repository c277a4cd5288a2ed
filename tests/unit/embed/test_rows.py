"""Exported graphs compute the same after they are rewritten, and what slows runtimes down is gone from them."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.embed.runtimes import Embedding, exported
from sv.models import MODELS

pytest.importorskip("onnxscript")
ort = pytest.importorskip("onnxruntime")
CHANNELS = 6
MAXIMA = "maxima"  # which PyTorch exports for one length alone


class Around(nn.Module):
    """A convolution, and a function of its maps (batch, 6, frames)."""

    def __init__(self, function: Callable[["Around", Tensor], Tensor], **options: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, CHANNELS, 3, **options)
        self.norm, self.linear = nn.BatchNorm1d(CHANNELS), nn.Linear(CHANNELS, CHANNELS)
        self.grouped = nn.Conv1d(CHANNELS, 2 * CHANNELS, 3, groups=2, dilation=2, stride=2, padding=1)
        self.bias = nn.Parameter(torch.randn(1, CHANNELS, 1))
        self.matrix = nn.Parameter(torch.randn(CHANNELS, 1))
        self.norm.running_mean += 0.5
        self.norm.running_var *= 2
        self.function = function

    def embed(self, features: Tensor) -> Tensor:
        """Apply both."""
        return self.function(self, self.conv(features))


def attended(net: Around, maps: Tensor) -> Tensor:
    weights = torch.softmax(maps, dim=2)
    mean = (maps * weights).sum(dim=2)
    return torch.cat([mean, (maps.square() * weights).sum(dim=2) - mean.square()], dim=1)


def shared_weights(net: Around, maps: Tensor) -> Tensor:
    weights = torch.softmax(30 * maps, dim=-1)
    squares = weights * weights  # of two softmaxes
    return torch.cat([(squares * maps).sum(dim=2), weights.amax(dim=2), (weights + maps).mean(dim=2)], dim=1)


def gated(net: Around, maps: Tensor) -> Tensor:
    gate = torch.sigmoid(net.linear(maps.mean(dim=2)))[:, :, None]
    return (maps * gate + net.bias + net.matrix).mean(dim=2, keepdim=True)[:, :, 0]


def spread(net: Around, maps: Tensor) -> Tensor:
    variance, mean = torch.var_mean(torch.tanh(net.norm(F.relu(maps))), dim=2)
    return torch.cat([mean, variance], dim=1)


def joined(net: Around, maps: Tensor) -> Tensor:
    first, second = maps.chunk(2, dim=1)
    longer = torch.cat([first, F.relu(second), first], dim=2)
    return torch.cat([longer, -longer], dim=1).sum(dim=2)


def pooled(net: Around, maps: Tensor) -> Tensor:
    ways = [F.avg_pool1d(maps, 3, 2, 1), F.avg_pool1d(maps, 3, 2, 1, count_include_pad=False)]
    return torch.cat([way.mean(dim=2) for way in ways], dim=1)


def turned(net: Around, maps: Tensor) -> Tensor:
    return (net.linear(maps.transpose(1, 2)).transpose(1, 2) * maps.softmax(dim=1)).mean(dim=2)


def of_images(net: Around, maps: Tensor) -> Tensor:
    images = F.relu(maps)[:, None] * maps[:, :, None]  # (batch, 6, 6, frames)
    means = [images.mean(dim=(2, 3)), images.permute(0, 2, 3, 1).mean(dim=(1, 2))]
    return torch.cat([*means, images.mean(dim=(2, 3), keepdim=True)[:, :, 0, 0], images.sum(dim=(2, 3))], dim=1)


CASES = {
    "attention": Around(attended),
    "weights read twice": Around(shared_weights),
    "gates": Around(gated),
    "variances": Around(spread),
    "parts of maps": Around(joined),
    "pooling": Around(pooled),
    MAXIMA: Around(lambda net, maps: F.max_pool1d(maps, 3, 2, 1).mean(dim=2)),
    "maps turned round": Around(turned),
    "images": Around(of_images),
    "groups and strides": Around(lambda net, maps: net.grouped(maps).clamp(-0.5, 0.7).sum(dim=2)),
    "mirrored ends": Around(lambda net, maps: maps.mean(dim=2), padding=2, padding_mode="reflect"),
    "an output that is a mean": Around(lambda net, maps: maps.mean(dim=2)),
    "other axes": Around(lambda net, maps: (maps - maps.mean(dim=1, keepdim=True)).square().mean(dim=(1, 2))[:, None]),
    "ecapa_tdnn": ("ecapa_tdnn", {"channels": 16, "aggregated_channels": 24}),
    "ecapa_tdnn of SpeechBrain": (
        "ecapa_tdnn",
        {
            "channels": 16, "aggregated_channels": 24, "padding": "reflect", "aggregated_norm": True,
            "attention_norm": True, "population_deviation": True, "summed_inputs": True,
        },
    ),
    "campplus": ("campplus", {"num_mel_bins": 8, "head_channels": 4, "init_channels": 8, "growth": 4, "blocks": (1, 1, 1)}),
    "plain_resnet": ("plain_resnet", {"num_mel_bins": 8, "channels": 4}),
    "se_resnet": ("se_resnet", {"num_mel_bins": 8, "channels": (4, 4, 8, 8), "blocks": (1, 1, 1, 1)}),
}  # fmt: skip


def run(program: torch.onnx.ONNXProgram, features: Tensor) -> np.ndarray:
    session = ort.InferenceSession(program.model_proto.SerializeToString())
    return session.run(None, {"features": features.numpy()})[0]


@pytest.mark.parametrize(
    ("case", "any_length"),
    [(case, longer) for case in CASES for longer in (False, True) if not (longer and case == MAXIMA)],
)
def test_a_rewritten_graph_computes_the_same(case: str, any_length: bool) -> None:
    from sv.embed.rows import maps_in_rows

    if isinstance(model := CASES[case], tuple):
        name, options = model
        torch.manual_seed(0)
        model = MODELS[name][1](MODELS[name][0](embedding_dim=5, **options))
    rows = getattr(getattr(model, "config", None), "num_mel_bins", 4)
    model = Embedding(model).eval()
    features = [torch.randn(2, rows, frames, generator=torch.Generator().manual_seed(frames)) for frames in (64, 153)]
    program = exported(model, features[0], any_length=any_length)
    given = features if any_length else features[:1]
    before = [run(program, each) for each in given]
    maps_in_rows(program.model)
    for each, expected in zip(given, before, strict=True):
        found = run(program, each)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=2e-5 * max(1, np.abs(expected).max()))


def test_a_rewritten_network_over_time_has_images_of_one_row_alone() -> None:
    from sv.embed.rows import maps_in_rows

    config, model = MODELS["ecapa_tdnn"]
    program = exported(
        Embedding(model(config(channels=16, aggregated_channels=24))).eval(), torch.randn(2, 80, 50), False
    )
    maps_in_rows(program.model)
    kinds = Counter(node.op_type for node in program.model.graph)
    assert kinds["GlobalAveragePool"] and not kinds["Softmax"] + kinds["ReduceSum"]
    assert kinds["ReduceMean"] == 1  # that which centres the features
    assert {len(node.outputs[0].shape) for node in program.model.graph if node.op_type in ("Conv", "Concat")} == {2, 4}


def test_a_softmax_of_far_scores_does_not_overflow() -> None:
    from sv.embed.rows import maps_in_rows

    model = Embedding(Around(lambda net, maps: (torch.softmax(1000 * maps, dim=2) * maps).sum(dim=2))).eval()
    features = torch.randn(2, 4, 40, generator=torch.Generator().manual_seed(1))
    program = exported(model, features, any_length=False)
    maps_in_rows(program.model)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(run(program, features)), model(features), rtol=1e-4, atol=1e-5)
