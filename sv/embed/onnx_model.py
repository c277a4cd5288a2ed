"""Other people's models as ONNX files: a small description says how they are fed, and they embed as ours do."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sv.base.config import ConfigError
from sv.base.layout import SAMPLING_RATE
from sv.base.packages import require
from sv.features.fbank import FULL_SCALE, Fbank, FbankConfig
from sv.features.segments import SegmentConfig
from sv.published.file_kinds import failed_download, head_of

TOLERANCE = 1e-3  # of an embedding's length, between two batches that share a segment
PROBE_SECONDS = 2  # of noise, by which a model of whole utterances is tried
WHOLE = SegmentConfig(scheme="whole", segment_samples=SAMPLING_RATE // 2, unit_segments=False)


@dataclass(frozen=True, kw_only=True)
class OnnxDescription:
    """Description of an ONNX model, from a TOML file beside it: the input that it reads, and the output.

    Attributes
    ----------
    file : str, optional
        The .onnx file, relative to the description; not needed beside FILE.onnx.
    input : "waveform" or "fbank"
        (batch, samples) or (batch, 1, samples); or Kaldi's log-mel filterbank.
    scale : float
        Multiplies the samples, which are in [-1, 1], before anything else: 32768 for models of Kaldi's 16-bit features.
    fbank : FbankConfig
    layout : "frames_mels" or "mels_frames"
        Axes of the filterbank after the batch.
    subtract_mean : bool
        Subtract each mel bin's mean over the frames of the segment.
    output : str, optional
        Name of the output that is the embedding; the only one by default.
    embedding_dim : int
    extract : SegmentConfig
        As [extract] of a system; by default the whole utterance, repeated to half a second, its embedding as it comes.
    """

    input_rate: ClassVar[int] = SAMPLING_RATE

    input: Literal["waveform", "fbank"]
    embedding_dim: int
    file: str | None = None
    scale: float = 1.0
    fbank: FbankConfig = field(default_factory=FbankConfig)
    layout: Literal["frames_mels", "mels_frames"] = "frames_mels"
    subtract_mean: bool = False
    output: str | None = None
    extract: SegmentConfig = WHOLE

    def __post_init__(self) -> None:
        if not (self.scale > 0 and np.isfinite(self.scale)):
            raise ValueError(f"scale must be positive, got {self.scale}")
        if self.embedding_dim < 1:
            raise ValueError(f"embedding_dim must be positive, got {self.embedding_dim}")
        if self.fbank.input_scale != FULL_SCALE:
            raise ValueError("fbank.input_scale is not read here; give scale")
        if self.input == "waveform" and self.subtract_mean:
            raise ValueError("subtract_mean is of mel bins; the input is the waveform")

    @property
    def num_mel_bins(self) -> int | None:
        """Rows of the features; None of waveforms."""
        return self.fbank.num_mel_bins if self.input == "fbank" else None

    @property
    def shift_ms(self) -> float | None:
        """Milliseconds between two frames; None of waveforms."""
        return self.fbank.shift_ms if self.input == "fbank" else None


class OnnxFeatures(nn.Module):
    """Waveforms to what an ONNX model reads; on the CPU."""

    device = torch.device("cpu")

    def __init__(self, config: OnnxDescription) -> None:
        super().__init__()
        self.config = config
        self.fbank = Fbank(replace(config.fbank, input_scale=config.scale)) if config.input == "fbank" else None

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) in [-1, 1) to (batch, mels, frames), or to (batch, 1, samples)."""
        if self.fbank is None:
            return (waveforms * self.config.scale)[:, None]
        features = self.fbank(waveforms)
        return features - features.mean(dim=-1, keepdim=True) if self.config.subtract_mean else features


class OnnxModel(nn.Module):
    """Network from features to embeddings that onnxruntime computes on the CPU.

    Parameters
    ----------
    path : path
        The .onnx file.
    config : OnnxDescription

    Raises
    ------
    ConfigError
        If it is no ONNX model, or its input or outputs are not those of the description.
    """

    def __init__(self, path: Path, config: OnnxDescription) -> None:
        super().__init__()
        self.path, self.config, self.session = path, config, open_session(path)
        inputs, outputs = self.session.get_inputs(), [node.name for node in self.session.get_outputs()]
        if len(inputs) != 1:
            raise ConfigError(
                f"{path}: it has {len(inputs)} inputs, {', '.join(node.name for node in inputs)}; one is fed"
            )
        self.input, self.rank = inputs[0].name, len(inputs[0].shape)
        ranks = (3,) if config.input == "fbank" else (2, 3)
        if inputs[0].type != "tensor(float)" or (self.rank not in ranks):
            raise ConfigError(
                f"{path}: its input is {inputs[0].type} of {self.rank} axes {inputs[0].shape}; "
                f"{config.input} is tensor(float) of {' or '.join(map(str, ranks))}"
            )
        if config.output is None and len(outputs) != 1:
            raise ConfigError(f"{path}: it has the outputs {', '.join(outputs)}; the description must name one")
        self.output = outputs[0] if config.output is None else config.output
        if self.output not in outputs:
            raise ConfigError(f"{path}: it has no output {self.output!r}; there are {', '.join(outputs)}")
        batch = inputs[0].shape[0]
        self.fixed_batch = batch if isinstance(batch, int) and batch > 0 else None

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxModel":
        return self  # a session is never changed, and cannot be copied

    def folded(self) -> "OnnxModel":
        """Return itself: onnxruntime has its own form for inference."""
        return self

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames), or (batch, 1, samples): (batch, embedding_dim).

        Raises
        ------
        ConfigError
            If the model refuses them, or gives something of another shape.
        """
        if self.config.input == "fbank" and self.config.layout == "frames_mels":
            features = features.transpose(1, 2)
        if self.rank == 2:
            features = features[:, 0]
        try:
            (found,) = self.session.run([self.output], {self.input: np.ascontiguousarray(features.numpy())})
        except Exception as error:  # onnxruntime has many kinds, none of them documented
            shape = tuple(features.shape)
            raise ConfigError(
                f"{self.path}: it does not take {self.config.input} of shape {shape}: {one_line(error)}"
            ) from error
        expected = (len(features), self.config.embedding_dim)
        if found.shape != expected:
            raise ConfigError(f"{self.path}: its output {self.output} has the shape {found.shape}, expected {expected}")
        return torch.from_numpy(found.astype(np.float32, copy=False))


def open_session(path: Path) -> Any:
    """Open an ONNX file in onnxruntime; raises ConfigError if that is not installed, or cannot read the file."""
    require(f"{path}: an ONNX model", "onnx", "onnxruntime")
    import onnxruntime

    if what := failed_download(head_of(path)):
        raise ConfigError(f"{path}: {what}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # likewise
        raise ConfigError(f"{path}: not an ONNX model that onnxruntime reads: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """First line of a runtime's message that says more than a place in its sources, as OpenVINO's first ones do not."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("Exception from ")]
    return (lines or [type(error).__name__])[0][:300]


@torch.inference_mode()
def check_model(frontend: OnnxFeatures, model: OnnxModel, config: SegmentConfig) -> None:
    """Try a model on noise: it must give finite embeddings that depend on nothing but their segment.

    Raises
    ------
    ConfigError
        If they are not finite, or depend on the batch; or as `OnnxModel.embed`.
    """
    whole = config.scheme == "whole"
    batch_size = 1 if whole else config.batch_size
    if model.fixed_batch not in (None, batch_size):
        need = 'that of scheme "whole"' if whole else "[extract] batch_size"
        raise ConfigError(f"{model.path}: it reads batches of {model.fixed_batch}, {need} is {batch_size}")
    length = max(config.segment_samples, PROBE_SECONDS * SAMPLING_RATE) if whole else config.segment_samples
    noise = 0.1 * torch.randn(batch_size, length, generator=torch.Generator().manual_seed(0))
    batch = frontend(noise)
    first = model.embed(batch)
    if not torch.isfinite(first).all():
        raise ConfigError(f"{model.path}: its embedding of noise is not finite")
    others = torch.cat([batch[:1], torch.zeros_like(batch[1:])])
    change = float((model.embed(others)[0] - first[0]).norm() / first[0].norm().clamp_min(1e-12))
    if change > TOLERANCE:
        raise ConfigError(
            f"{model.path}: a segment's embedding changes by {change:.1e} of its length with the others of its batch; "
            "export it in evaluation mode, or set [extract] batch_size = 1"
        )
