"""Gaussian noise for models that sample, the same for the same input whatever its batch, name or device."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from sv.base.seeding import generator


class Sampling(Protocol):
    """Options of a sampler that its noise depends on."""

    start: str
    num_draws: int
    seed: int


def redraw(model: Any, config: Any, draw: int) -> None:
    """Make a model that samples use the seed of its `draw`-th draw, from 1, the first that of `config`, its configuration.

    Models that do not sample stay as they are.
    """
    if sampling := getattr(config, "sampling", None):
        model.config = replace(config, sampling=replace(sampling, seed=sampling.seed + draw - 1))


def noises_of(sampling: Sampling, features: Tensor) -> Iterator[Tensor | None]:
    """Yield the noise that each draw of a sampler starts from; None, once, with the start "zero"."""
    if sampling.start == "zero":
        yield None
    else:
        yield from keyed_noises(features, sampling.num_draws, sampling.seed)


def keyed_noises(features: Tensor, num_draws: int, seed: int) -> Iterator[Tensor]:
    """Yield `num_draws` draws of unit Gaussian noise, each of the shape of (batch, ...) features.

    An item's noise depends on the seed, the draw's number and the item's values alone.
    """
    digests = [content_digest(item) for item in features]
    for draw in range(num_draws):
        rngs = [generator(seed, "diffusion", digest, draw) for digest in digests]
        noises = [torch.from_numpy(rng.standard_normal(features.shape[1:], dtype="float32")) for rng in rngs]
        yield torch.stack(noises).to(features)


def content_digest(features: Tensor) -> str:
    """Digest of one item's values, the key of its noise."""
    values = features.detach().to("cpu", torch.float32).contiguous().numpy()
    return hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest()
