"""Embeddings of whole utterances: cut into segments of one length, embedded in batches of one size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import nn

from sv.models.folding import for_inference


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """How utterances are embedded.

    Attributes
    ----------
    segment_samples : int
        Length of a test-time segment at 16 kHz.
    scheme : "consecutive" or "even"
        "consecutive": one after the other, and a last one that ends with the utterance, as the published ExU-Net code
        has it. "even": `num_segments` of them, spread evenly from the first sample to the last, as voxceleb_trainer.
    num_segments : int
        Of "even".
    batch_size : int
        Segments in a forward pass; embeddings do not depend on it beyond rounding.
    """

    segment_samples: int = 61_360
    scheme: Literal["consecutive", "even"] = "consecutive"
    num_segments: int = 10
    batch_size: int = 8

    def __post_init__(self) -> None:
        for name in ("segment_samples", "num_segments", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


def segment_options(config: ExtractConfig) -> dict[str, object]:
    """What stored features depend on."""
    return {name: getattr(config, name) for name in ("segment_samples", "scheme", "num_segments")}


def segment_starts(num_samples: int, config: ExtractConfig) -> list[int]:
    """First samples of an utterance's segments.

    "consecutive" makes ceil((N - C) / C) + 1 segments of C samples. Either makes one if N <= C: several would be the same.
    """
    last = max(num_samples - config.segment_samples, 0)
    if config.scheme == "even" and last:
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
    segments = torch.from_numpy(cut_segments(samples, config)).to(device)
    features = frontend(segments).transpose(1, 2)  # (num_segments, frames, mels)
    return features.reshape(-1, features.shape[-1]).cpu().numpy()


def frames_per_segment(frontend: nn.Module, config: ExtractConfig) -> int:
    """Frames that the front end makes of a segment."""
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
    return (segments / np.linalg.norm(segments, axis=1, keepdims=True)).mean(axis=0)
