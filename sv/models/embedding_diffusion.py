"""Diffusion on embeddings: SEED (Nam et al. 2025, arXiv:2505.16798), from a noisy utterance's embedding to the clean one's.

Noise is added to an embedding, and a network that was trained on noisy utterances' embeddings with noise added estimates the
clean utterance's. Parameter names are those of the published code (kaistmm/seed-pytorch), whose schedule is that of the
package diffusers (`DDIMScheduler`, "scaled_linear"). Embeddings are (batch, dim).
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import require
from sv.models.keyed_noise import noises_of
from sv.models.network import Network

FIRST_BETA, LAST_BETA = 1e-4, 0.02  # variance of the noise that the first and the last step add
MAX_PERIOD = 10_000.0  # of the embedding of steps
MOST = 3.0  # times the root of the dimension: estimates are clipped there


@dataclass(frozen=True, kw_only=True)
class EmbeddingSamplingConfig:
    """Options of the sampler, which makes an embedding better.

    Attributes
    ----------
    noise_step : int
        Step of the diffusion up to which noise is added and from which sampling goes back. The published 50 of 1000 leaves
        0.991 of an embedding's power; the published sampler of many steps starts at 980.
    num_steps : int
        Calls of the network, at steps evenly spaced from `noise_step` to 0: one estimate, as published, or DDIM (Song et al.
        2021, arXiv:2010.02502).
    start : "draw" or "zero"
        Noise that is added: Gaussian, as published, or none, which makes a model that can be exported.
    num_draws : int
        Embeddings, each of noise of its own, of which the mean is taken.
    seed : int
        The noise depends on this, the draw's number and the embedding alone: not on the batch or an utterance's name. (The
        published command lines have a seed for each model, tuned on the test.)
    """

    noise_step: int = 50
    num_steps: int = 1
    start: Literal["draw", "zero"] = "draw"
    num_draws: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, at_least_one=("num_steps", "num_draws"), not_negative=("noise_step",))
        if self.num_steps > self.noise_step + 1:
            raise ValueError(
                f"num_steps must be at most noise_step + 1, or steps are repeated; got {self.num_steps} and {self.noise_step}"
            )
        if self.start == "zero" and self.num_draws > 1:
            raise ValueError(f"num_draws must be 1 with start 'zero', which draws nothing; got {self.num_draws}")

    @property
    def steps(self) -> list[int]:
        """Steps at which the network is called, from `noise_step` down."""
        last = max(self.num_steps - 1, 1)
        return [round(self.noise_step * (last - number) / last) for number in range(self.num_steps)]


@dataclass(frozen=True, kw_only=True)
class EmbeddingDiffusionConfig:
    """Sizes of the network, and the sampler; the defaults are the published ones.

    Attributes
    ----------
    embedding_dim : int
        Of input and output.
    width : int
        Of the hidden layers, as a multiple of `embedding_dim`.
    num_blocks : int
        Residual blocks.
    diffusion_steps : int
        Steps in which an embedding becomes noise.
    sampling : EmbeddingSamplingConfig
    """

    embedding_dim: int = 512
    width: int = 2
    num_blocks: int = 3
    diffusion_steps: int = 1000
    sampling: EmbeddingSamplingConfig = field(default_factory=EmbeddingSamplingConfig)
    num_mel_bins: ClassVar[None] = None

    def __post_init__(self) -> None:
        require(self, at_least_one=("embedding_dim", "width", "num_blocks", "diffusion_steps"))
        if self.sampling.noise_step >= self.diffusion_steps:
            raise ValueError(
                f"sampling.noise_step must be below diffusion_steps, got {self.sampling.noise_step} and {self.diffusion_steps}"
            )


def signal_shares(num_steps: int) -> Tensor:
    """Share of an embedding's power that is left after each step: (num_steps,) float32, computed in float32 as published."""
    betas = torch.linspace(FIRST_BETA**0.5, LAST_BETA**0.5, num_steps, dtype=torch.float32).square()
    return (1 - betas).cumprod(dim=0)


def step_embedding(steps: Tensor, dim: int) -> Tensor:
    """Cosines, then sines of step numbers (batch,) at `dim` // 2 frequencies, and a zero if `dim` is odd: (batch, dim) float32."""
    half = dim // 2
    frequencies = torch.exp(-math.log(MAX_PERIOD) * torch.arange(half, device=steps.device).float() / half)
    angles = steps[:, None].float() * frequencies
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=-1), (0, dim % 2))


class TimedBlock(nn.Module):
    """Two normalised layers around a shortcut, with the step added between them; the second starts at zero."""

    def __init__(self, width: int, step_dim: int) -> None:
        super().__init__()
        last = nn.Linear(width, width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.in_layers = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(step_dim, width))
        # The identity has the place of a dropout of nothing.
        self.out_layers = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Identity(), last)

    def forward(self, hidden: Tensor, step: Tensor) -> Tensor:
        """Map (batch, width) and embedded steps (batch, step_dim) to (batch, width)."""
        return hidden + self.out_layers(self.in_layers(hidden) + self.emb_layers(step))


class EmbeddingDiffusion(Network):
    """Network that estimates a clean embedding, and the sampler; the features of this model are embeddings.

    It works on embeddings whose length is the root of their dimension, so that noise of unit variance is as long.
    """

    def __init__(self, config: EmbeddingDiffusionConfig) -> None:
        super().__init__()
        self.config = config
        dim, width = config.embedding_dim, config.embedding_dim * config.width
        last = nn.Linear(width, dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.time_embed = nn.Sequential(nn.Linear(width, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.input_proj = nn.Linear(dim, width)
        self.res_blocks = nn.ModuleList(TimedBlock(width, dim) for _ in range(config.num_blocks))
        self.out = nn.Sequential(nn.LayerNorm(width, eps=1e-6), nn.SiLU(), last)
        self.register_buffer("shares", signal_shares(config.diffusion_steps), persistent=False)

    def scaled(self, embeddings: Tensor) -> Tensor:
        """Embeddings (batch, dim) at the length that the diffusion works on, the root of their dimension."""
        return F.normalize(embeddings, dim=-1) * self.config.embedding_dim**0.5

    def diffuse(self, embeddings: Tensor, steps: Tensor, noise: Tensor | None) -> Tensor:
        """State of the diffusion after steps (batch,) integer, of embeddings (batch, dim) and unit noise of that shape or none."""
        share = self.shares[steps].to(embeddings.dtype)[:, None]
        signal = share.sqrt() * embeddings
        return signal if noise is None else signal + (1 - share).sqrt() * noise

    def estimate(self, state: Tensor, steps: Tensor) -> Tensor:
        """Estimate the clean embeddings of states (batch, dim) after steps (batch,) integer."""
        step = self.time_embed(step_embedding(steps, self.input_proj.out_features).to(state.dtype))
        hidden = self.input_proj(state)
        for block in self.res_blocks:
            hidden = block(hidden, step)
        return self.out(hidden)

    def sample(self, embeddings: Tensor, noise: Tensor | None) -> Tensor:
        """Clean embeddings of embeddings of the length of `scaled`, (batch, dim), with unit noise of that shape or none."""
        limit = MOST * self.config.embedding_dim**0.5
        steps = [
            torch.full(embeddings.shape[:1], step, device=embeddings.device) for step in self.config.sampling.steps
        ]
        state = self.diffuse(embeddings, steps[0], noise)
        for now, then in pairwise(steps):
            clean, share = self.estimate(state, now), self.shares[now].to(state.dtype)[:, None]
            # The noise that is left, of the estimate before it is clipped.
            rest = (state - share.sqrt() * clean) / (1 - share).sqrt()
            state = self.diffuse(clean.clamp(-limit, limit), then, rest)
        return self.estimate(state, steps[-1]).clamp(-limit, limit)

    def embed(self, features: Tensor) -> Tensor:
        """Map embeddings (batch, embedding_dim) to better ones of that shape, a function of each row alone."""
        start = self.scaled(features)
        return torch.stack([self.sample(start, noise) for noise in noises_of(self.config.sampling, features)]).mean(
            dim=0
        )
