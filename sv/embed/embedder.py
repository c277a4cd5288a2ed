"""Embeddings of segments, in batches of one size, and their mean per utterance."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import nn

from sv.embed.computing import Network, TorchNetwork
from sv.features.segments import TINY
from sv.models.protocol import Model


class Embedder:
    """Embed stacked segment features, batching the segments of many utterances.

    Every forward pass has `batch_size` segments, the last one filled up with zeros: an embedding does not depend on the other
    segments of its batch, and on its own place in it by rounding alone.

    Parameters
    ----------
    model : Model or Network
        Of a model, a copy made for inference runs, in float32 by torch; a `Network` runs as it is.
    num_frames : int or None
        Frames per segment; None if each utterance is one segment, which is then embedded by itself.
    batch_size : int
        Segments.
    """

    def __init__(self, model: Model | Network, num_frames: int | None, batch_size: int) -> None:
        self.network: Network = TorchNetwork(model) if isinstance(model, nn.Module) else model
        self.num_frames, self.batch_size = num_frames, batch_size
        self.computing = self.network.computing

    def __call__(
        self, features: Iterable[tuple[str, np.ndarray]], refused: list[str] | None = None
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (utterance, (num_segments, dim) float32) for (utterance, (num_segments * frames, mels)), in order.

        Parameters
        ----------
        features : iterable of (str, numpy.ndarray)
        refused : list of str, optional
            Gets the utterances whose embedding is not finite, which are left out then.

        Raises
        ------
        ValueError
            Naming the utterance whose features are not a multiple of a segment or whose embedding is not finite, without
            `refused`.
        """
        if self.num_frames is None:
            for utterance, matrix in features:
                yield from self._complete([(utterance, 1)], list(self._embed([matrix], 1)), refused)
            return
        waiting: list[tuple[str, int]] = []  # utterances with their numbers of segments
        segments: list[np.ndarray] = []
        done: list[np.ndarray] = []
        for utterance, matrix in features:
            if len(matrix) == 0 or len(matrix) % self.num_frames:
                raise ValueError(
                    f"{utterance}: {len(matrix)} frames are not a multiple of a segment's {self.num_frames}"
                )
            parts = matrix.reshape(-1, self.num_frames, matrix.shape[1])
            waiting.append((utterance, len(parts)))
            segments.extend(parts)
            while len(segments) >= self.batch_size:
                done.extend(self._embed(segments[: self.batch_size], self.batch_size))
                del segments[: self.batch_size]
            yield from self._complete(waiting, done, refused)
        if segments:
            done.extend(self._embed(segments, self.batch_size))
        yield from self._complete(waiting, done, refused)

    @torch.inference_mode()
    def _embed(self, segments: list[np.ndarray], batch_size: int) -> np.ndarray:
        batch = torch.zeros(batch_size, *segments[0].shape)
        batch[: len(segments)] = torch.from_numpy(np.stack(segments))
        embeddings = self.network.embed(batch.to(self.network.device).transpose(1, 2))
        return embeddings[: len(segments)].float().cpu().numpy()

    @staticmethod
    def _complete(
        waiting: list[tuple[str, int]], done: list[np.ndarray], refused: list[str] | None
    ) -> Iterator[tuple[str, np.ndarray]]:
        while waiting and len(done) >= waiting[0][1]:
            utterance, count = waiting.pop(0)
            embeddings = np.stack(done[:count])
            del done[:count]
            if np.isfinite(embeddings).all():
                yield utterance, embeddings
            elif refused is None:
                raise ValueError(f"{utterance}: its embedding is not finite")
            else:
                refused.append(utterance)


def utterance_embedding(segments: np.ndarray, unit_segments: bool = True) -> np.ndarray:
    """Mean of the segments' embeddings, (num_segments, dim) to (dim,), each scaled to unit length before if asked.

    The dot product of two means of unit vectors is the mean cosine over all pairs of segments, with which the ExU-Net paper
    and its peers score.
    """
    if unit_segments:  # a zero vector (ReLU) stays zero
        segments = segments / np.maximum(np.linalg.norm(segments, axis=1, keepdims=True), TINY)
    return segments.mean(axis=0)
