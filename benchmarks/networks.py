"""Networks of the extraction benchmarks, in every precision and by every runtime that is here."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sv.base.packages import module_of
from sv.embed.computing import Computing, Network
from sv.embed.runtimes import Embedding, OnnxRuntimeNetwork, Shape, exported, make_network
from sv.models import MODELS
from sv.models.campplus import SEGMENT, MaskedConvolution
from sv.models.ecapa_tdnn import ContextAttention

SHAPES = {  # batches that extraction runs: eight segments of the system's length; of whole utterances one
    "exu_net": Shape(batch_size=8, rows=64, num_frames=384),
    "se_resnet": Shape(batch_size=8, rows=64, num_frames=384),
    "plain_resnet": Shape(batch_size=8, rows=80, num_frames=300),
    "ecapa_tdnn": Shape(batch_size=8, rows=80, num_frames=300),
    "campplus": Shape(batch_size=1, rows=80, num_frames=800),
}
TITLES = {"plain_resnet": "resnet34 (WeSpeaker)", "campplus": "campplus, one of 8 s"}
WAYS = (  # the first is what all others are compared with
    Computing(),
    Computing(precision="bf16"),
    Computing(runtime="onnxruntime"),
    Computing(runtime="openvino"),
    Computing(runtime="openvino", precision="bf16"),
    Computing(runtime="mnn"),
)
SHIFT_SECONDS = 0.01


def ways_here() -> list[Computing]:
    """Ways to compute whose packages are installed."""
    return [way for way in WAYS if find_spec(module_of(way.runtime))]


def build(name: str, *, quick: bool) -> tuple[Any, Shape]:
    """A network of random weights, at its published size, and its batches; both small for a quick look."""
    torch.manual_seed(0)
    config, model = MODELS[name]
    shape = replace(SHAPES[name], batch_size=1, num_frames=100) if quick else SHAPES[name]
    return model(config(num_mel_bins=shape.rows)).eval(), shape


def networks(model: Any, shape: Shape) -> Iterator[tuple[Computing, Network]]:
    """The network in every way; one that a runtime cannot take is left out."""
    for way in ways_here():
        network = make_network(model, way.precision, way.runtime, shape)
        if network.computing == way:
            yield way, network


class RepeatedContext(ContextAttention):
    """Attention as published code exports it: the context is repeated, and multiplied, at every frame."""

    def _with_context(self, values: Tensor) -> Tensor:
        context = self.context(values)[:, :, None]
        return self.linear1(torch.cat([values, context.expand(-1, -1, values.shape[2])], dim=1))


class RepeatedMask(MaskedConvolution):
    """Masked convolution as published code exports it: the mask is computed anew at every frame."""

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames)."""
        segments = F.avg_pool1d(values, SEGMENT, ceil_mode=True).repeat_interleave(SEGMENT, dim=2)
        context = segments[:, :, : values.shape[2]] + values.mean(dim=2, keepdim=True)
        return self.local(values) * torch.sigmoid(self.expand(F.relu_(self.squeeze(context))))


PUBLISHED = {ContextAttention: RepeatedContext, MaskedConvolution: RepeatedMask}


def as_published(model: Any, shape: Shape) -> Network:
    """The network as published code lays it out, by ONNX Runtime; its graph is not rewritten as ours are."""
    other = copy.deepcopy(model)
    for part in other.modules():
        part.__class__ = PUBLISHED.get(type(part), type(part))
    (features,) = shape.examples()
    with TemporaryDirectory() as folder:
        graph = Path(folder) / "published.onnx"
        graph.write_bytes(exported(Embedding(other).eval(), features, any_length=False).model_proto.SerializeToString())
        return OnnxRuntimeNetwork(graph, Computing(runtime="onnxruntime"))


def audio_seconds(features: Tensor) -> float:
    """Length of the audio of (batch, mels, frames) features, 10 ms a frame."""
    return SHIFT_SECONDS * features.shape[0] * features.shape[2]
