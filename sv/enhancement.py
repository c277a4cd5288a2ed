"""Embedding enhancement beside its training: reading its configuration, applying it, and what an extractor lends it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sv.config import ConfigError, load_toml
from sv.data.embeddings import BLOCK_ROWS, EmbeddingArchive
from sv.system import SystemConfig, parse_system

FEATURES_TYPE = "embedding"


def load_enhancement(path: str | Path, embedding_dim: int) -> SystemConfig:
    """Read an enhancement system's TOML file; its dimension, if it names none, is that of the embeddings.

    Raises
    ------
    ConfigError
        If the file describes a system that reads no embeddings, or embeddings of another dimension.
    """
    table: dict[str, Any] = load_toml(path)
    model = {"embedding_dim": embedding_dim, **table.get("model", {})}
    system = parse_system({**table, "model": model}, str(path))
    if system.features_type != FEATURES_TYPE or system.loss_type != "enhancement":
        raise ConfigError(
            f'{path}: not an enhancement of embeddings; it needs [features] type = "{FEATURES_TYPE}" and '
            '[loss] type = "enhancement"'
        )
    if system.batches_type != "shuffled":
        raise ConfigError(f"{path}: 'batches.type' must be 'shuffled', got {system.batches_type!r}")
    check_dim(system, embedding_dim, str(path))
    return system


def check_dim(system: SystemConfig, embedding_dim: int, where: str) -> None:
    """Raise ConfigError unless the system reads embeddings of this dimension."""
    if system.model.embedding_dim != embedding_dim:
        raise ConfigError(
            f"{where}: model.embedding_dim is {system.model.embedding_dim}, the embeddings have dimension {embedding_dim}"
        )


@torch.inference_mode()
def enhance(frontend: nn.Module, model: nn.Module, embeddings: np.ndarray) -> np.ndarray:
    """Enhance (n, dim) embeddings, in blocks; the model in eval mode."""
    if model.training:
        raise ValueError("the model is in training mode: dropout would change the embeddings")
    device = next(model.parameters()).device
    blocks = torch.from_numpy(np.array(embeddings, dtype=np.float32)).split(BLOCK_ROWS)
    return torch.cat([model.embed(frontend(block.to(device))).float().cpu() for block in blocks]).numpy()


def enhanced_archive(
    frontend: nn.Module, model: nn.Module, archive: EmbeddingArchive
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Enhanced embeddings in the archive's order: utterance, (dim,), and its segments' one by one, (num_segments, dim)."""
    for block, embeddings in archive.blocks():
        keys = archive.keys[block]
        segments = [archive.segments(row) for row in range(block.start, block.stop)]
        better = enhance(frontend, model, embeddings)
        parts = np.split(enhance(frontend, model, np.concatenate(segments)), np.cumsum([len(s) for s in segments])[:-1])
        yield from zip(keys, better, parts, strict=True)


def extractor_classifier(model_dir: str | Path, num_speakers: int, dim: int) -> dict[str, Tensor] | None:
    """Weight and bias of the linear speaker classifier that an extractor was trained with, or None if it had none.

    Looked for in checkpoints/last.pt, of our training, and best.pt, of `sv convert`.

    Raises
    ------
    ConfigError
        If the classifier is for other speakers or another dimension: classes are the training set's speakers in byte order.
    """
    folder = Path(model_dir) / "checkpoints"
    states = []
    if (folder / "last.pt").is_file():
        states.append(torch.load(folder / "last.pt", map_location="cpu", weights_only=False)["system"])
    if (folder / "best.pt").is_file():
        states.append(torch.load(folder / "best.pt", map_location="cpu", weights_only=True).get("criterion", {}))
    for state in states:
        for name, weight in state.items():
            prefix = name.removesuffix("weight")
            if prefix.endswith(("classifier.", "softmax.fc.")) and prefix != name and f"{prefix}bias" in state:
                if weight.shape[1] != dim or len(weight) % num_speakers:
                    raise ConfigError(
                        f"{model_dir}: its classifier {name} is {tuple(weight.shape)}, wanted {(num_speakers, dim)}: "
                        "the list must name the speakers that the extractor was trained on"
                    )
                # Copies of the speakers at other speeds come after all of them.
                bias = state[f"{prefix}bias"]
                return {"classifier.weight": weight[:num_speakers], "classifier.bias": bias[:num_speakers]}
    return None
