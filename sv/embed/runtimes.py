"""Runtimes that compute our networks in torch's place: ONNX Runtime, OpenVINO and MNN, from one exported graph.

The graph is exported once, checked against torch, and kept in $XDG_CACHE_HOME/sv/runtimes.
"""

import fcntl
import hashlib
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import sv.models
from sv.base.files import atomic_write
from sv.base.log import get_logger
from sv.base.packages import EXPORTERS, FLOAT32_ONLY, check_packages
from sv.embed.computing import Computing, Network, TorchNetwork, said_precision
from sv.embed.exporting import export_quietly
from sv.embed.mnn_network import MnnNetwork
from sv.embed.onnx_model import one_line, open_session
from sv.published.registry import cache_dir

TOLERANCE = 5e-3  # of an embedding's length, between graph and model in float32; random deep networks reach 2e-3
TRIED_FRAMES = (300, 413, 120)  # of a graph that reads any length; the first is exported


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Input of a network.

    Attributes
    ----------
    batch_size, rows : int
        Rows are mels, or 1 of a waveform.
    num_frames : int, optional
        None if a graph must read any number.
    """

    batch_size: int
    rows: int
    num_frames: int | None

    def examples(self) -> list[Tensor]:
        """Noise of this shape, of three lengths if it may have any."""
        lengths = [self.num_frames] if self.num_frames else TRIED_FRAMES
        generator = torch.Generator().manual_seed(0)
        return [torch.randn(self.batch_size, self.rows, length, generator=generator) for length in lengths]


class Embedding(nn.Module):
    """A model whose `forward` is its `embed`, for the exporter."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames): (batch, embedding_dim)."""
        return self.model.embed(features)


class OnnxRuntimeNetwork:
    """A graph that ONNX Runtime computes on the CPU, in float32."""

    device = torch.device("cpu")

    def __init__(self, graph: Path, computing: Computing) -> None:
        self.session, self.computing = open_session(graph), computing

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames): (batch, embedding_dim)."""
        return torch.from_numpy(self.session.run(None, {"features": np.ascontiguousarray(features.numpy())})[0])


class OpenVinoNetwork:
    """A graph that OpenVINO computes on the CPU."""

    device = torch.device("cpu")

    def __init__(self, graph: Path, computing: Computing) -> None:
        import openvino

        hint = {"float32": "f32", "bf16": "bf16"}[computing.precision]
        options = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # jobs share the machine
        }
        self.compiled = openvino.Core().compile_model(graph, "CPU", options)
        found = self.compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if found == "f32" and hint == "bf16":
            get_logger("embed").info("precision float32: OpenVINO has no bf16 on this processor")
            computing = replace(computing, precision="float32")
        self.request, self.computing = self.compiled.create_infer_request(), computing

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames): (batch, embedding_dim)."""
        (found,) = self.request.infer([np.ascontiguousarray(features.numpy())]).values()
        return torch.from_numpy(np.array(found))  # the request writes its next result in the same place


NETWORKS = {"onnxruntime": OnnxRuntimeNetwork, "openvino": OpenVinoNetwork, "mnn": MnnNetwork}


def make_network(model: Any, precision: str, runtime: str, shape: Shape) -> Network:
    """Make a model of ours ready to embed.

    Parameters
    ----------
    model : Model
        On the CPU, unless the runtime is torch.
    precision : "float32", "bf16" or "auto"
    runtime : str
        Of `sv.base.packages.RUNTIMES`. Where another than torch cannot take the network, torch computes it and one line of
        the log says so.
    shape : Shape

    Raises
    ------
    ConfigError
        If a package is missing, naming the extra that brings it; or for bf16 by one that has none.
    """
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    if runtime == "torch":
        return TorchNetwork(model, said_precision(precision, device))
    check_packages(runtime, precision)
    if runtime in FLOAT32_ONLY:
        computing = Computing(runtime=runtime)
        if precision == "auto":
            get_logger("embed").info("precision auto: float32, the only one of %s on a CPU", runtime)
    else:
        # What this processor lacks for bf16 OpenVINO finds out itself, and it is said once.
        chosen = precision if precision == "bf16" else said_precision(precision, device)
        computing = Computing(runtime=runtime, precision=chosen)
    try:
        return NETWORKS[runtime](graph_of(model, runtime, shape), computing)
    except Exception as error:  # of three packages, which document none
        why = one_line(error.__cause__ or error)  # the exporter's own words say which of its steps it was
        get_logger("embed").warning("%s cannot take this network, torch computes it: %s", runtime, why)
        return TorchNetwork(model, computing.precision)


def graph_of(model: Any, runtime: str, shape: Shape) -> Path:
    """Path of a model's graph as an .onnx file, exported and checked if it is not in the cache.

    Raises
    ------
    ValueError
        If the graph computes something else than the model.
    """
    path = cache_dir() / "runtimes" / f"{digest_of(model, shape)}.onnx"
    checked = path.with_suffix(f".{runtime}-{version(runtime)}.checked")
    module, examples = Embedding(model).eval(), shape.examples()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes that start together export once
        if not path.is_file():
            data = _rewritten(module, examples[0], any_length=shape.num_frames is None)
            with atomic_write(path, "wb") as file:
                file.write(data)
    if not checked.is_file():
        _compare(NETWORKS[runtime](path, Computing(runtime=runtime)), module, examples)
        checked.touch()
    return path


def exported(module: nn.Module, example: Tensor, any_length: bool) -> torch.onnx.ONNXProgram:
    """Export a module as PyTorch lays its graph out."""
    axes = {2: torch.export.Dim.DYNAMIC} if any_length else {}
    with export_quietly():
        return torch.onnx.export(
            module, (example,), dynamo=True, dynamic_shapes=(axes,), verbose=False,
            input_names=["features"], output_names=["embeddings"],
        )  # fmt: skip


def _rewritten(module: nn.Module, example: Tensor, any_length: bool) -> bytes:
    from sv.embed.rows import maps_in_rows  # it needs one of the exporters' packages

    program = exported(module, example, any_length)
    maps_in_rows(program.model)
    return program.model_proto.SerializeToString()


@torch.no_grad()
def _compare(network: Network, module: nn.Module, examples: list[Tensor]) -> None:
    for features in examples:
        expected, found = module(features), network.embed(features)
        worst = float((found - expected).norm(dim=1).max() / expected.norm(dim=1).max())
        if not worst < TOLERANCE:
            raise ValueError(
                f"embeddings of {features.shape[2]} frames differ from torch's by {worst:.1e} of their length"
            )


def digest_of(model: Any, shape: Shape) -> str:
    """Hash of everything that a graph depends on: weights, code of networks and `sv.embed.rows`, shape, versions of exporters."""
    digest = hashlib.sha256(repr((type(model), model.config, shape)).encode())
    digest.update(repr([version(name) for name in ("torch", *EXPORTERS)]).encode())
    digest.update(_code_of_graphs())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@cache
def _code_of_graphs() -> bytes:
    digest = hashlib.sha256()
    for path in [*sorted(Path(sv.models.__file__).parent.rglob("*.py")), Path(__file__).with_name("rows.py")]:
        digest.update(path.read_bytes())
    return digest.digest()
