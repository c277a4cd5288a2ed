"""Embeddings of whole utterances by a system: features in, one vector per utterance out."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sv.base.config import ConfigError
from sv.base.layout import ModelFolder
from sv.embed.embedder import Embedder, utterance_embedding
from sv.embed.inputs import FeatureReader
from sv.features.segments import frames_per_segment
from sv.system.config import SystemConfig
from sv.system.folder import device_of_job, load_model


class UtteranceEmbedder:
    """Embed utterances as stage 5 does: segments in batches of one size, averaged as [extract] says.

    Parameters
    ----------
    system : SystemConfig
    frontend, model : torch.nn.Module
        On one device.

    Attributes
    ----------
    system : SystemConfig
    frontend : torch.nn.Module
    embedder : Embedder
        Embeds segments.
    """

    def __init__(self, system: SystemConfig, frontend: nn.Module, model: nn.Module) -> None:
        self.system, self.frontend = system, frontend
        self.embedder = Embedder(model, frames_per_segment(frontend, system.extract), system.extract.batch_size)

    @classmethod
    def load(cls, model_dir: str | Path, device: torch.device | None = None) -> "UtteranceEmbedder":
        """Read a model folder onto a device, the first GPU by default or the CPU.

        Raises
        ------
        ConfigError
            As `load_model` does, and for weights that are NaN or infinite: no recording is to blame for what they give.
        """
        system, frontend, model = load_model(model_dir, device or device_of_job())
        weights = {name: weight for name, weight in model.state_dict().items() if weight.is_floating_point()}
        if bad := [name for name, weight in weights.items() if not torch.isfinite(weight).all()]:
            raise ConfigError(
                f"{ModelFolder(Path(model_dir)).best}: {len(bad)} of {len(weights)} weights hold NaN or infinity, e.g. {bad[0]}; "
                "train again, or take an earlier checkpoint"
            )
        return cls(system, frontend, model)

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
