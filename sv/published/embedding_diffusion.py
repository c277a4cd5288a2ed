"""Networks of SEED (kaistmm/seed-pytorch, RDMMLP): the state dict of the diffusion network alone, under our names."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sv.base.config import to_dict
from sv.models.embedding_diffusion import EmbeddingDiffusion, EmbeddingDiffusionConfig
from sv.published.checkpoint import CheckpointError, Converted, Reader, load_strictly
from sv.published.containers import Source

SYSTEM = "seed_kaistmm"


def translate_seed(source: Source, options: Mapping[str, Any]) -> Converted:
    """Translate a diffusion network; its sampler is the published one, with a seed of ours for each embedding.

    Raises
    ------
    CheckpointError
        If the layers' widths do not fit each other.
    """
    config = diffusion_config(source.weights)
    loaded = load_strictly(SYSTEM, EmbeddingDiffusion(config), source.weights).state_dict()
    tables = {
        "features": {"type": "embedding", "normalise": True},
        "model": {"type": "embedding_diffusion", **to_dict(config)},
        "loss": {"type": "embedding_diffusion"},
    }
    notes = [f"{config.num_blocks} blocks, {config.embedding_dim} dimensions; for sv.bin.enhance"]
    return Converted(tables=tables, weights={"model": loaded}, notes=notes)


def diffusion_config(state: Mapping[str, Tensor]) -> EmbeddingDiffusionConfig:
    """The model config that the shapes imply; raises KeyError with the name of a missing parameter."""
    width, dim = state["input_proj.weight"].shape
    if width % dim:
        raise CheckpointError(
            f"not a checkpoint of {SYSTEM}: its width {width} is not a multiple of {dim}, the embeddings'"
        )
    blocks = {name.split(".")[1] for name in state if name.startswith("res_blocks.")}
    return EmbeddingDiffusionConfig(embedding_dim=dim, width=width // dim, num_blocks=len(blocks))


SYSTEMS = {SYSTEM: Reader(translate=translate_seed)}
