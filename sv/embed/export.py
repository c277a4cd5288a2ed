"""A model folder as one file that runs without this package."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sv.base.config import to_dict, write_json
from sv.base.files import atomic_write
from sv.base.layout import ModelFolder
from sv.base.packages import EXPORTERS, require
from sv.embed.exporting import export_quietly
from sv.system.config import SystemConfig
from sv.system.folder import load_model, read_system

FORMATS = ("torchscript", "onnx")
TOLERANCE = 1e-4  # of an embedding's length, between the traced module and the model
SEED = 0
SAMPLES = {  # models that sample, and how
    "diff_sv": "Diff-SV draws its noise by a digest of each segment's features",
    "embedding_diffusion": "SEED draws its noise by a digest of each embedding",
}


class SegmentEmbedder(nn.Module):
    """Front end and model in one module, which `sv embed` applies to every segment of a recording."""

    def __init__(self, frontend: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.frontend, self.model = frontend, model

    def forward(self, segments: Tensor) -> Tensor:
        """Embed (segments, samples) at 16 kHz in [-1, 1), or embeddings to be enhanced: (segments, embedding_dim)."""
        return self.model.embed(self.frontend(segments))


def export_model(model_dir: Path, kind: str, out: Path) -> list[str]:
    """Write a model folder's front end and model as one file.

    Parameters
    ----------
    model_dir : Path
    kind : "torchscript" or "onnx"
    out : Path
        A TorchScript file holds the folder's config.json too, as an extra file; `OUT.json` beside an ONNX file describes
        it, so that it can be a `--model` itself.

    Returns
    -------
    list of str
        Input and output of the file, for the user.

    Raises
    ------
    ValueError
        If the model cannot be exported, or the export computes something else; nothing is written then.
    """
    why_not(read_system(model_dir), model_dir)
    system, frontend, model = load_model(model_dir)
    embedder = SegmentEmbedder(frontend, model).eval().requires_grad_(False)
    examples = example_segments(system)
    write = {"torchscript": _torchscript, "onnx": _onnx}[kind]
    any_length = write(embedder, examples, ModelFolder(Path(model_dir)).config, out)
    if kind == "onnx" and system.features_type != "embedding":
        write_json(out.with_name(f"{out.name}.json"), description(system, model.config.embedding_dim))
    return usage(system, model.config.embedding_dim, any_length)


def description(system: SystemConfig, dim: int) -> dict[str, Any]:
    """Description of an exported ONNX file, for `sv.embed.onnx_model.OnnxDescription`."""
    return {"input": "waveform", "output": "embeddings", "embedding_dim": dim, "extract": to_dict(system.extract)}


def why_not(system: SystemConfig, model_dir: Path) -> None:
    """Raise ValueError if a system cannot be exported."""
    if system.model_type in SAMPLES and system.model.sampling.start == "draw":
        raise ValueError(
            f"{model_dir}: {SAMPLES[system.model_type]}, which no exported graph can; "
            'a copy of the folder whose config.json has [model.sampling] start = "zero" can be exported'
        )


def example_segments(system: SystemConfig) -> Tensor:
    """Make two segments of noise, or two embeddings, such as the system reads."""
    if system.features_type == "embedding":
        return 0.1 * torch.randn(2, system.model.embedding_dim, generator=torch.Generator().manual_seed(SEED))
    return 0.1 * torch.randn(2, system.extract.segment_samples, generator=torch.Generator().manual_seed(SEED))


def usage(system: SystemConfig, dim: int, any_length: bool) -> list[str]:
    """Describe the exported file's input and output, and the steps that are left to its user."""
    if system.features_type == "embedding":
        return [f"reads embeddings (batch, {dim}), gives better ones"]
    extract = system.extract
    lines = [
        f"reads segments (batch, {'samples' if any_length else extract.segment_samples}) of 16 kHz audio in [-1, 1), "
        f"gives embeddings (batch, {dim})",
        f"sv embed cuts segments of {extract.segment_samples} samples ({extract.scheme}) and averages their embeddings"
        + (", each of unit length" if extract.unit_segments else ""),
    ]
    before = [name for name in ("peak_normalise", "raise_to_dbfs") if getattr(extract, name)]
    return lines + [f"before that it changes the level: {', '.join(before)}"] * bool(before)


def _torchscript(embedder: nn.Module, examples: Tensor, config: Path, out: Path) -> bool:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapes that a trace takes for fixed: other shapes are tried below
        traced = torch.jit.trace(embedder, (examples,), check_trace=False)
    any_length = takes_any_length(embedder, traced, examples)
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer, _extra_files={config.name: config.read_text()})
    with atomic_write(out, "wb") as file:
        file.write(buffer.getvalue())
    return any_length


@torch.no_grad()
def takes_any_length(embedder: nn.Module, exported: Callable[[Tensor], Tensor], examples: Tensor) -> bool:
    """Compare an exported module with its source, on the examples, one of them and longer ones.

    Returns
    -------
    bool
        True if it reads segments of other lengths; else it or its source refuses them.

    Raises
    ------
    ValueError
        If it gives other embeddings.
    """
    for segments in (examples, examples[:1]):
        _compare(embedder(segments), exported(segments), segments)
    longer = torch.cat([examples, examples.flip(0)[:, : examples.shape[1] // 2]], dim=1)
    try:
        expected, found = embedder(longer), exported(longer)
    except (ValueError, RuntimeError):
        return False
    _compare(expected, found, longer)
    return True


def _compare(expected: Tensor, found: Tensor, segments: Tensor) -> None:
    worst = float((found - expected).norm(dim=1).max() / expected.norm(dim=1).max())
    if not worst < TOLERANCE:
        raise ValueError(
            f"nothing was written: embeddings of {tuple(segments.shape)} segments differ from the model's by {worst:.1e} "
            "of their length"
        )


def _onnx(embedder: nn.Module, examples: Tensor, config: Path, out: Path) -> bool:
    require("--format onnx", "onnx", *EXPORTERS, "onnxruntime")
    from onnxruntime import InferenceSession

    from sv.embed.rows import maps_in_rows

    program, any_length = _onnx_program(embedder, examples)
    maps_in_rows(program.model)
    data = program.model_proto.SerializeToString()
    try:
        session = InferenceSession(data)
    except Exception as error:  # its classes have no base of their own; PyTorch can write graphs that it refuses
        raise _not_as_onnx(error) from error

    def run(segments: Tensor) -> Tensor:
        if not any_length and segments.shape[1] != examples.shape[1]:
            raise ValueError(f"the exported graph reads {examples.shape[1]} samples, got {segments.shape[1]}")
        return torch.from_numpy(session.run(None, {"segments": segments.numpy()})[0])

    any_length = takes_any_length(embedder, run, examples)
    with atomic_write(out, "wb") as file:
        file.write(data)
    return any_length


def _onnx_program(embedder: nn.Module, examples: Tensor) -> tuple[torch.onnx.ONNXProgram, bool]:
    """Export the graph; the flag is False if PyTorch can only write one for segments of the examples' length."""
    names = {"input_names": ["segments"], "output_names": ["embeddings"]}
    for axes in ((0, 1), (0,)):
        sizes = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
        try:
            with export_quietly():
                arguments = {"dynamo": True, "dynamic_shapes": (sizes,), "verbose": False, **names}
                return torch.onnx.export(embedder, (examples,), **arguments), 1 in axes
        except torch.onnx.OnnxExporterError as error:
            failure = error
    raise _not_as_onnx(failure.__cause__ or failure) from failure


def _not_as_onnx(cause: BaseException) -> ValueError:
    first_line = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
    return ValueError(f"this model cannot be written as ONNX ({first_line}); --format torchscript may do")
