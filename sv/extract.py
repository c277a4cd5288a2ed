"""Embeddings of whole utterances: cut into segments of one length, embedded in batches of one size."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import nn

from sv.models.folding import for_inference

SAMPLES_PER_MS = 16  # of what is embedded
TINY = 1e-12
MIN_COVERAGE = 0.75  # of the last of several sliding windows by the utterance


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """How utterances are embedded.

    Attributes
    ----------
    segment_samples : int
        Length of a test-time segment at 16 kHz.
    scheme : "consecutive", "even" or "sliding"
        "consecutive": one after the other, and a last one that ends with the utterance, as the published ExU-Net code
        has it. "even": `num_segments` of them, spread evenly from the first sample to the last, as voxceleb_trainer.
        "sliding": one every `step_samples`, cut from the features of the whole utterance, as the GE2E systems.
    num_segments : int
        Of "even".
    step_samples : int
        Of "sliding"; a multiple of the features' shift.
    raise_to_dbfs : float, optional
        Level to which quieter utterances are raised before anything else; louder ones stay as they are.
    batch_size : int
        Segments in a forward pass; embeddings do not depend on it beyond rounding.
    """

    segment_samples: int = 61_360
    scheme: Literal["consecutive", "even", "sliding"] = "consecutive"
    num_segments: int = 10
    step_samples: int = 12_800
    raise_to_dbfs: float | None = None
    batch_size: int = 8

    def __post_init__(self) -> None:
        for name in ("segment_samples", "num_segments", "step_samples", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


def segment_options(config: ExtractConfig) -> dict[str, object]:
    """What stored features depend on."""
    names = ("segment_samples", "scheme", "num_segments", "step_samples", "raise_to_dbfs")
    return {name: getattr(config, name) for name in names}


def segment_starts(num_samples: int, config: ExtractConfig) -> list[int]:
    """First samples of an utterance's segments.

    "consecutive" makes ceil((N - C) / C) + 1 segments of C samples, one if N <= C.
    """
    last = max(num_samples - config.segment_samples, 0)
    if config.scheme == "even":
        return np.linspace(0, last, config.num_segments).astype(int).tolist()
    return [*range(0, last, config.segment_samples), last]


def cut_segments(samples: np.ndarray, config: ExtractConfig) -> np.ndarray:
    """Cut (samples,) into (num_segments, segment_samples); an utterance shorter than a segment is repeated.

    Raises
    ------
    ValueError
        If there are no samples.
    """
    if len(samples) == 0:
        raise ValueError("an utterance without samples has no segments")
    length = config.segment_samples
    if len(samples) < length:
        samples = np.tile(samples, -(-length // len(samples)))[:length]
    return np.stack([samples[start : start + length] for start in segment_starts(len(samples), config)])


def compute_features(frontend: nn.Module, samples: np.ndarray, config: ExtractConfig) -> np.ndarray:
    """Features of an utterance's segments, stacked in time: (num_segments * frames, mels) float32.

    What stage 3 stores: each segment's features are computed from that segment alone, as at the model's input.
    """
    device = next((buffer.device for buffer in frontend.buffers()), "cpu")
    samples = raised(samples, config.raise_to_dbfs)
    if config.scheme == "sliding":

        def whole(padded: np.ndarray) -> np.ndarray:
            return frontend(torch.from_numpy(padded[None]).to(device))[0].T.cpu().numpy()

        return slide(whole, samples, config, shift_of(frontend))
    segments = torch.from_numpy(cut_segments(samples, config)).to(device)
    features = frontend(segments).transpose(1, 2)  # (num_segments, frames, mels)
    return features.reshape(-1, features.shape[-1]).cpu().numpy()


def raised(samples: np.ndarray, dbfs: float | None) -> np.ndarray:
    """Samples raised to an RMS level in dB of full scale, if they are below it and not silent."""
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    if dbfs is None or level == 0:
        return samples
    return (samples * max(1.0, 10 ** (dbfs / 20) / level)).astype(np.float32)


def shift_of(frontend: nn.Module) -> int:
    """Samples at 16 kHz between two frames of a front end with a fixed shift."""
    return round(frontend.config.shift_ms * SAMPLES_PER_MS)


def sliding_starts(num_samples: int, config: ExtractConfig, shift: int) -> list[int]:
    """First samples of the sliding windows over an utterance of `num_samples`; what follows the last one is not used.

    Windows start while frames remain for them, and the last of several is dropped if the utterance covers less than
    three quarters of it: the rule of Resemblyzer, which cuts 160 frames every 77 (or every 80, half of them, in the paper).
    """
    window, step = config.segment_samples // shift, config.step_samples // shift
    num_frames = -(-(num_samples + 1) // shift)
    starts = [start * shift for start in range(0, max(1, num_frames - window + step + 1), step)]
    short = num_samples - starts[-1] < MIN_COVERAGE * window * shift
    return starts[:-1] if short and len(starts) > 1 else starts


def slide(
    features: Callable[[np.ndarray], np.ndarray], samples: np.ndarray, config: ExtractConfig, shift: int
) -> np.ndarray:
    """Windows of the features of (samples,), filled up with zeros to the end of the last: (num_windows * frames, mels).

    Parameters
    ----------
    features : callable
        From (samples,) to (frames, mels), a frame every `shift` samples.
    """
    starts, window = sliding_starts(len(samples), config, shift), config.segment_samples // shift
    missing = starts[-1] + window * shift - len(samples)
    frames = features(np.pad(samples, (0, max(0, missing))).astype(np.float32))
    return np.concatenate([frames[start // shift : start // shift + window] for start in starts])


def frames_per_segment(frontend: nn.Module, config: ExtractConfig) -> int:
    """Frames that the front end makes of a segment."""
    if config.scheme == "sliding":
        return config.segment_samples // shift_of(frontend)
    one = replace(config, scheme="consecutive")
    return len(compute_features(frontend, np.zeros(config.segment_samples, dtype=np.float32), one))


class Embedder:
    """Embeds stacked segment features, batching the segments of many utterances.

    Every forward pass has `batch_size` segments, the last one filled up with zeros: an embedding does not depend on what
    else is in its batch, and on its own place in it by rounding alone.

    Parameters
    ----------
    model : torch.nn.Module
        A copy made for inference is what runs.
    num_frames : int
        Of a segment.
    batch_size : int
    """

    def __init__(self, model: nn.Module, num_frames: int, batch_size: int) -> None:
        self.model, self.num_frames, self.batch_size = for_inference(model), num_frames, batch_size
        self.device = next(model.parameters()).device

    def __call__(self, features: Iterable[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (utterance, (num_segments, dim) float32) for (utterance, (num_segments * frames, mels)), in order.

        Raises
        ------
        ValueError
            Naming the utterance whose features are no whole number of segments or whose embedding is not finite.
        """
        waiting: list[tuple[str, int]] = []  # utterances with their numbers of segments
        segments: list[np.ndarray] = []
        done: list[np.ndarray] = []
        for utterance, matrix in features:
            if len(matrix) == 0 or len(matrix) % self.num_frames:
                raise ValueError(
                    f"{utterance}: {len(matrix)} frames are no whole number of segments of {self.num_frames}"
                )
            parts = matrix.reshape(-1, self.num_frames, matrix.shape[1])
            waiting.append((utterance, len(parts)))
            segments.extend(parts)
            while len(segments) >= self.batch_size:
                done.extend(self._embed(segments[: self.batch_size]))
                del segments[: self.batch_size]
            yield from self._complete(waiting, done)
        if segments:
            done.extend(self._embed(segments))
        yield from self._complete(waiting, done)

    @torch.inference_mode()
    def _embed(self, segments: list[np.ndarray]) -> np.ndarray:
        batch = torch.zeros(self.batch_size, *segments[0].shape)
        batch[: len(segments)] = torch.from_numpy(np.stack(segments))
        embeddings = self.model.embed(batch.to(self.device).transpose(1, 2))
        return embeddings[: len(segments)].float().cpu().numpy()

    @staticmethod
    def _complete(waiting: list[tuple[str, int]], done: list[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        while waiting and len(done) >= waiting[0][1]:
            utterance, count = waiting.pop(0)
            embeddings = np.stack(done[:count])
            del done[:count]
            if not np.isfinite(embeddings).all():
                raise ValueError(f"{utterance}: its embedding is not finite")
            yield utterance, embeddings


def utterance_embedding(segments: np.ndarray) -> np.ndarray:
    """Mean of the length-normalised segment embeddings, (num_segments, dim) to (dim,).

    The dot product of two such means is the mean cosine over all pairs of segments, the score of the paper's peers.
    """
    norms = np.linalg.norm(segments, axis=1, keepdims=True)
    return (segments / np.maximum(norms, TINY)).mean(axis=0)  # a segment without a direction (ReLU) has no say
