"""The Python interface: `sv.load` and the model that it returns."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from sv.base.config import ConfigError
from sv.data.audio import BadAudio, load_speech, speech_of
from sv.embed.inputs import heard
from sv.embed.opening import ModelSource, check_runtime, find_source, open_model
from sv.embed.utterances import UtteranceEmbedder
from sv.embed.verification import Verdict, cosine, judge, read_own_calibration
from sv.features.segments import compute_features
from sv.models.precision import ASKED
from sv.scoring import OperatingPoint

Path_ = str | PathLike
Audio = np.ndarray | torch.Tensor | Path_
FULL_SCALE = {np.dtype(np.int16): 1 << 15, np.dtype(np.int32): 1 << 31}


def load(
    model: Path_,
    *,
    device: str | torch.device | None = None,
    precision: str = "float32",
    runtime: str | None = None,
    system: str | None = None,
) -> "SpeakerModel":
    """Load a model.

    Parameters
    ----------
    model : str or path
        A model folder; a name of `sv models list` that `sv models get` has fetched; a published checkpoint, recognised by its
        weights; an .onnx file with its description beside it; the .toml file of a program.
    device : str or torch.device, optional
        The first GPU by default, or the CPU.
    precision : "float32", "bf16" or "auto"
        Of systems of ours: bf16 is faster on processors that have it, and moves scores by about 0.01.
    runtime : "torch", "onnxruntime" or "openvino", optional
        The one that the model is for, by default. The others compute systems of ours on the CPU, with a package that an
        extra of the same name ("onnx" of onnxruntime) brings; OpenVINO in bf16 is the fastest, MNN of convolutions in float32.
    system : str, optional
        Of `sv convert`, for a published checkpoint that several systems fit.

    Raises
    ------
    ConfigError, CheckpointError
        Subclasses of ValueError: if there is no such model, or it is damaged.
    ValueError
        For a precision, runtime or device that there is not.

    Examples
    --------
    >>> import numpy as np, sv
    >>> model = sv.load(folder)                               # or "campplus", "published.pt", "model.onnx"
    >>> time = np.arange(32_000) / 16_000
    >>> low, high = (np.sin(2 * np.pi * hz * time) for hz in (200, 700))
    >>> a, b = model.embed([low, high], rate=16_000)
    >>> a.shape == (model.dim,) and a.dtype == np.float32
    True
    >>> round(model.score(a, a), 6)
    1.0
    >>> model.verify(low, high, rate=16_000).calibrated       # no calibration: a score, no decision
    False
    """
    if precision not in ASKED:
        raise ValueError(f"precision must be {', '.join(ASKED[:-1])} or {ASKED[-1]}, got {precision!r}")
    source = find_source(model, system)
    check_runtime(source, runtime)
    elsewhere = source.kind in ("onnx", "command") or runtime not in (None, "torch")
    if device is not None and elsewhere and torch.device(device).type != "cpu":
        raise ValueError(f"{model}: computed on the CPU, got device {str(device)!r}")
    try:
        chosen = None if device is None else torch.device(device)
        return SpeakerModel(source, open_model(source, chosen, precision, runtime))
    except (RuntimeError, AssertionError) as error:  # of PyTorch, for a device that it has not
        raise ValueError(f"device {str(device)!r}: {str(error).splitlines()[0]}") from error


class SpeakerModel:
    """A model that embeds audio and compares voices; `sv.load` makes it.

    Embeddings are those of `sv embed`, to the bit, on the same machine with the same number of threads. Not to be shared
    between threads.

    Attributes
    ----------
    name : str
    sha256 : str
        Hash of the weights; calibrations and databases of voices are bound to it.
    """

    def __init__(self, source: ModelSource, embedder: UtteranceEmbedder) -> None:
        self._source, self._embedder = source, embedder
        self.name, self.sha256 = source.name, source.sha256()
        self._dim: int | None = None

    def __repr__(self) -> str:
        return f"<sv model {self.name}, {self.sha256[:12]}>"

    @property
    def dim(self) -> int:
        """Number of dimensions of an embedding."""
        if self._dim is None:
            noise = np.random.default_rng(0).normal(scale=0.1, size=16_000).astype(np.float32)
            self._dim = len(self._vectors([noise])[0])
        return self._dim

    def embed(
        self,
        audio: Audio | Sequence[Audio],
        *,
        rate: int | None = None,
        channel: int | None = None,
        vad: Literal["silero", "none"] | None = None,
        min_speech: float | None = None,
    ) -> np.ndarray:
        """Embed recordings.

        Parameters
        ----------
        audio : array, tensor, path, or a list or tuple of these
            Samples (samples,) or (channels, samples): int16, int32, or float in [-1, 1]. Paths: any audio file.
        rate : int
            Sampling rate of the arrays in Hz; files have their own.
        channel : int, optional
            The channel to take, from 0; the mean of all by default.
        vad : "silero" or "none", optional
            Cut out what is no speech; as the model's [extract] says by default.
        min_speech : float, optional
            Refuse recordings with fewer seconds of speech, or audio without a detector.

        Returns
        -------
        (dim,) float32 numpy.ndarray, or (number of recordings, dim) for a list or tuple

        Raises
        ------
        BadAudio
            A ValueError: if a recording is empty, silent, not finite, or has too little speech; with its path, or, in a list
            of arrays, its number from 0.
        ValueError, TypeError
            For another kind of array, or without a rate.
        """
        single = not isinstance(audio, (list, tuple))
        items = [audio] if single else list(audio)
        embedder = self._embedder.listening(vad, min_speech)
        speech = []
        for number, item in enumerate(items):
            try:
                speech.append(heard(self._samples(item, rate, channel), embedder.system.extract))
            except (BadAudio, OSError) as error:
                named = [str(item)] if isinstance(item, (str, PathLike)) else [] if single else [f"recording {number}"]
                raise BadAudio(": ".join([*named, str(error)])) from error
        vectors = self._vectors(speech)
        return vectors[0] if single else vectors

    def score(self, a: np.ndarray, b: np.ndarray) -> float:
        """Cosine similarity of two embeddings, (dim,) each, in [-1, 1]; raises ValueError for zero or NaN."""
        return cosine(a, b)

    def verify(
        self,
        a: Audio,
        b: Audio,
        *,
        rate: int | None = None,
        channel: int | None = None,
        p_target: float = 0.05,
        c_miss: float = 1.0,
        c_fa: float = 1.0,
    ) -> Verdict:
        """Compare two recordings as `sv verify` does; parameters and errors of `embed`.

        Returns
        -------
        Verdict
            `score`; and `llr`, `threshold`, `decision` where the model has a calibration, None where it has none.
        """
        calibration = read_own_calibration(self._source)
        score = self.score(*self.embed([a, b], rate=rate, channel=channel))
        return judge(score, calibration, OperatingPoint(p_target, c_miss, c_fa))

    @staticmethod
    def _samples(item: Audio, rate: int | None, channel: int | None) -> np.ndarray:
        if isinstance(item, (str, PathLike)):
            return load_speech(Path(item), channel=channel).samples
        return speech_of(channels_of(item), rate_of(rate), channel).samples

    def _vectors(self, speech: Sequence[np.ndarray]) -> np.ndarray:
        embedder = self._embedder
        features = (
            (str(number), compute_features(embedder.frontend, samples, embedder.system.extract))
            for number, samples in enumerate(speech)
        )
        vectors = [vector for _, vector, _ in embedder(features)]
        return np.stack(vectors) if vectors else np.zeros((0, self.dim), np.float32)


def rate_of(rate: Any) -> int:
    """Check a sampling rate; raises ValueError without one."""
    if rate is None:
        raise ValueError("rate= is needed: the sampling rate of the samples in Hz")
    if isinstance(rate, bool) or int(rate) != rate or rate < 1:
        raise ValueError(f"rate must be a whole number of Hz, got {rate!r}")
    return int(rate)


def channels_of(audio: Any) -> np.ndarray:
    """Samples of an array or tensor as (samples, channels) float32, in [-1, 1].

    Raises
    ------
    TypeError
        For what is neither, or of another type of numbers.
    ValueError
        For other axes than (samples,) or (channels, samples).
    """
    if isinstance(audio, torch.Tensor):
        audio = audio.detach().cpu().numpy() if audio.dtype != torch.bfloat16 else audio.detach().cpu().float().numpy()
    if not isinstance(audio, np.ndarray):
        raise TypeError(f"expected an array, a tensor or a path, got {type(audio).__name__}")
    if audio.dtype in FULL_SCALE:
        audio = audio.astype(np.float64) / FULL_SCALE[audio.dtype]
    elif audio.dtype.kind != "f":
        raise TypeError(f"samples must be int16, int32 or float, got {audio.dtype}")
    if audio.ndim not in (1, 2) or (audio.ndim == 2 and audio.shape[0] > audio.shape[1]):
        raise ValueError(f"expected (samples,) or (channels, samples), got {audio.shape}")
    return np.atleast_2d(audio).T.astype(np.float32)


__all__ = ["BadAudio", "ConfigError", "SpeakerModel", "Verdict", "load"]
