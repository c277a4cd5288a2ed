"""Embedding enhancement beside its training: reading its configuration, applying it, and what an extractor lends it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sv.base.config import ConfigError, load_toml
from sv.enhancement.archive import BLOCK_ROWS, EmbeddingArchive
from sv.scoring.lda import train_lda
from sv.scoring.speakers import speaker_statistics
from sv.system.config import SystemConfig, parse_system
from sv.train.steps.enhancement import LinearConfig

FEATURES_TYPE = "embedding"
PAIRED = {"enhancement": "embedding_mlp", "linear": "embedding_linear"}  # model of each loss


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


def fit_linear(config: LinearConfig, embeddings: np.ndarray, speakers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean (dim,) and transform (output_dim, dim) of embeddings (n, dim) with a speaker each.

    Raises
    ------
    ValueError
        If there are too few utterances for the covariance within speakers to be invertible, which LDA and WCCN need.
    """
    mean, dim = embeddings.mean(axis=0, dtype=np.float64), embeddings.shape[1]
    if config.kind == "mean":
        return mean, np.eye(dim)
    num_speakers = len(set(speakers))
    if len(embeddings) - num_speakers < dim:
        raise ValueError(
            f"{config.kind} of {dim}-dimensional embeddings needs {num_speakers + dim} utterances of {num_speakers} speakers, "
            f"got {len(embeddings)}"
        )
    if config.kind == "lda":
        return mean, train_lda(embeddings, speakers, min(config.dim, dim, num_speakers - 1))[:, :-1]
    statistics = speaker_statistics(embeddings, speakers)
    within = statistics.scatter / (len(embeddings) - num_speakers)
    return mean, np.linalg.cholesky(np.linalg.inv(within)).T


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
