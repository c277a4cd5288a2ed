"""Load the configuration of an embedding enhancement, and apply a trained one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sv.base.config import ConfigError, load_toml
from sv.enhancement.archive import BLOCK_ROWS, EmbeddingArchive
from sv.system.config import SystemConfig, parse_system

FEATURES_TYPE = "embedding"
PAIRED = {  # the model that goes with each loss
    "enhancement": "embedding_mlp",
    "embedding_diffusion": "embedding_diffusion",
    "linear": "embedding_linear",
}


def load_enhancement(path: str | Path, embedding_dim: int) -> SystemConfig:
    """Read an enhancement system's TOML file; [model] embedding_dim defaults to that of the embeddings.

    Raises
    ------
    ConfigError
        If the file describes a system that does not read embeddings, or reads embeddings of another dimension.
    """
    table: dict[str, Any] = load_toml(path)
    model = {"embedding_dim": embedding_dim, **table.get("model", {})}
    system = parse_system({**table, "model": model}, str(path))
    if system.features_type != FEATURES_TYPE or PAIRED.get(system.loss_type) != system.model_type:
        raise ConfigError(
            f'{path}: not an enhancement of embeddings; it needs [features] type = "{FEATURES_TYPE}", and [loss] and [model] '
            + " or ".join(f'type = "{loss}" and "{model}"' for loss, model in PAIRED.items())
        )
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
    """Enhance (n, dim) embeddings, in blocks; raises ValueError if the model is in training mode."""
    if model.training:
        raise ValueError("the model is in training mode: dropout would change the embeddings")
    device = next(model.parameters()).device
    blocks = torch.from_numpy(np.array(embeddings, dtype=np.float32)).split(BLOCK_ROWS)
    # The front end on the CPU: what a model draws by a digest of its inputs is then the same with a GPU.
    return torch.cat([model.embed(frontend(block).to(device)).float().cpu() for block in blocks]).numpy()


def enhanced_archive(
    frontend: nn.Module, model: nn.Module, archive: EmbeddingArchive
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield an archive's utterances in order: key, enhanced embedding (dim,), enhanced segments (num_segments, dim).

    Each segment is enhanced by itself; the embedding is the enhanced mean, not the mean of enhanced segments.
    """
    for block, embeddings in archive.blocks():
        keys = archive.keys[block]
        segments = [archive.segments(row) for row in range(block.start, block.stop)]
        better = enhance(frontend, model, embeddings)
        parts = np.split(enhance(frontend, model, np.concatenate(segments)), np.cumsum([len(s) for s in segments])[:-1])
        yield from zip(keys, better, parts, strict=True)
