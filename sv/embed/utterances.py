"""Embeddings of whole utterances by a system: features in, one vector per utterance out."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
from torch import nn

from sv.embed.computing import Computing, Network
from sv.embed.embedder import Embedder, utterance_embedding
from sv.embed.inputs import FeatureReader
from sv.features.segments import frames_per_segment
from sv.system.config import SystemConfig

SegmentEmbedder = Callable[[Iterable[tuple[str, np.ndarray]], list[str] | None], Iterator[tuple[str, np.ndarray]]]


class UtteranceEmbedder:
    """Embed utterances as stage 5 does: segments in batches of one size, averaged as [extract] says.

    Parameters
    ----------
    system : SystemConfig
    frontend : torch.nn.Module
    embedder : callable
        From (key, features) to (key, (num_segments, dim) embeddings), in order, and a list for the keys that are refused, or
        None: an `Embedder`, or another program; its `computing` says how.
    """

    def __init__(self, system: SystemConfig, frontend: nn.Module, embedder: SegmentEmbedder) -> None:
        self.system, self.frontend, self.embedder = system, frontend, embedder

    @classmethod
    def of_model(cls, system: SystemConfig, frontend: nn.Module, model: nn.Module | Network) -> "UtteranceEmbedder":
        """Embed by a network; front end and model are on one device."""
        num_frames = frames_per_segment(frontend, system.extract)
        return cls(system, frontend, Embedder(model, num_frames, system.extract.batch_size))

    @property
    def computing(self) -> Computing:
        """Precision and runtime of the embeddings."""
        return self.embedder.computing

    def listening(self, vad: str | None, min_speech: float | None, least: float = 0.0) -> "UtteranceEmbedder":
        """The same with another detector of speech ("none": without one) and another `min_speech`.

        None is as the system has it, but for a `min_speech` below `least`.
        """
        extract = self.system.extract
        changes = {"vad": {None: extract.vad, "none": None}.get(vad, vad)}
        changes["min_speech"] = max(extract.min_speech, least) if min_speech is None else min_speech
        system = replace(self.system, extract=replace(extract, **changes))
        return UtteranceEmbedder(system, self.frontend, self.embedder)

    def __call__(
        self, features: Iterable[tuple[str, np.ndarray]], refused: list[str] | None = None
    ) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield key, (dim,) embedding and (num_segments, dim) segments' embeddings, float32, in order.

        Parameters
        ----------
        features : iterable of (key, (num_segments * frames, mels) numpy.ndarray)
            Of `reader`'s FeatureReader, or of `set_features`.
        refused : list of str, optional
            Gets the utterances whose embedding is not finite, which are left out then.

        Raises
        ------
        ValueError
            Naming the utterance whose features are not a multiple of a segment or whose embedding is not finite, without
            `refused`.
        """
        for key, segments in self.embedder(features, refused):
            yield key, utterance_embedding(segments, self.system.extract.unit_segments), segments

    def reader(self, allow_pipes: bool = False) -> FeatureReader:
        """Make a reader of recordings and feature archives for this system."""
        return FeatureReader(self.system, self.frontend, allow_pipes)
