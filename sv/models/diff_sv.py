"""Diff-SV (Kim et al. 2023, arXiv:2309.08320): enhance, denoise by diffusion, and embed all three views of the speech.

Parameter names are those of the published code. Features are (batch, mels, frames).
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.diffusion import ScoreNet, sample
from sv.models.keyed_noise import noises_of
from sv.models.output import Embedded
from sv.models.resnet import ResidualEncoder, TrunkConfig


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """Options of the denoiser when an embedding is extracted.

    Attributes
    ----------
    num_steps : int
        Calls of the score network.
    solver : "euler" or "exponential"
        The published one, or the exponential integrator, which bears fewer steps.
    start : "draw" or "zero"
        Where the flow starts: the prior plus Gaussian noise, as published, or the prior itself.
    num_draws : int
        Embeddings, each of a draw of its own, of which the mean is taken (of unit length each). The published evaluation
        embeds four windows, identical if an utterance is short, so its mean is one over four draws.
    seed : int
        The noise depends on this, the draw's number and the features alone: not on the batch or an utterance's name.
    """

    num_steps: int = 10
    solver: Literal["euler", "exponential"] = "euler"
    start: Literal["draw", "zero"] = "draw"
    num_draws: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.num_draws < 1:
            raise ValueError(f"num_steps and num_draws must be positive, got {self.num_steps} and {self.num_draws}")
        if self.start == "zero" and self.num_draws > 1:
            raise ValueError(f"num_draws must be 1 with start 'zero', which draws nothing; got {self.num_draws}")


@dataclass(frozen=True, kw_only=True)
class DiffSVConfig(TrunkConfig):
    """Enhancer, score network and extractor; the inherited values are the extractor's.

    Attributes
    ----------
    enhancer_layers, enhancer_heads, enhancer_channels : int
        Transformer layers; their attention heads; their hidden channels. As wide as there are mels.
    dropout : float in [0, 1)
        In the enhancer.
    score_channels : int
        Of the score network's finest level; a multiple of 8.
    score_heads : int
        Of the score network's attention, each with 32 keys.
    sampling : SamplingConfig
    """

    num_mel_bins: int = 80
    enhancer_layers: int = 4
    enhancer_heads: int = 2
    enhancer_channels: int = 512
    dropout: float = 0.1
    score_channels: int = 16
    score_heads: int = 4
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.enhancer_layers, self.enhancer_heads, self.enhancer_channels, self.score_heads) < 1:
            raise ValueError("enhancer_layers, enhancer_heads, enhancer_channels and score_heads must be positive")
        if self.num_mel_bins % self.enhancer_heads:
            raise ValueError(
                f"num_mel_bins must be a multiple of enhancer_heads, got {self.num_mel_bins} and {self.enhancer_heads}"
            )
        if self.score_channels < 8 or self.score_channels % 8:
            raise ValueError(f"score_channels must be a multiple of 8, got {self.score_channels}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")


class SelfAttention(nn.Module):
    """Multi-head self-attention and its residual normalisation; sequences are (batch, frames, width).

    The logits are divided by the root of the width, not of a head's share of it as in Vaswani et al. 2017: as published.
    """

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.scale, self.dropout = num_heads, width**-0.5, dropout
        self.w_qs, self.w_ks, self.w_vs = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.fc = nn.Linear(width, width)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, sequence: Tensor) -> Tensor:
        """Map (batch, frames, width) to the same shape."""
        queries, keys, values = (
            layer(sequence).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer in (self.w_qs, self.w_ks, self.w_vs)
        )
        dropout = self.dropout if self.training else 0.0
        heads = F.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout, scale=self.scale)
        mixed = self.fc(heads.transpose(1, 2).flatten(2))
        return self.layer_norm(F.dropout(mixed, self.dropout, self.training) + sequence)


class ConvolutionalFeedForward(nn.Module):
    """Two convolutions over time and their residual normalisation; sequences are (batch, frames, width)."""

    def __init__(self, width: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.w_1 = nn.Conv1d(width, channels, 3, padding=1)
        self.w_2 = nn.Conv1d(channels, width, 3, padding=1)
        self.layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, sequence: Tensor) -> Tensor:
        """Map (batch, frames, width) to the same shape."""
        hidden = self.dropout(F.mish(self.w_1(sequence.transpose(1, 2))))
        return self.layer_norm(self.dropout(self.w_2(hidden).transpose(1, 2)) + sequence)


class EnhancerLayer(nn.Module):
    """Self-attention, then the feed-forward part."""

    def __init__(self, width: int, num_heads: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.slf_attn = SelfAttention(width, num_heads, dropout)
        self.pos_ffn = ConvolutionalFeedForward(width, channels, dropout)

    def forward(self, sequence: Tensor) -> Tensor:
        """Map (batch, frames, width) to the same shape."""
        return self.pos_ffn(self.slf_attn(sequence))


class Enhancer(nn.Module):
    """Transformer over frames whose last normalisation is the estimate of the clean features; no positions are given."""

    def __init__(self, config: DiffSVConfig) -> None:
        super().__init__()
        width = config.num_mel_bins
        self.spectral = nn.Sequential(
            nn.Linear(width, width),
            nn.Mish(),
            nn.Dropout(config.dropout),
            nn.Linear(width, width),
            nn.Mish(),
            nn.Dropout(config.dropout),
        )
        self.layer_stack = nn.ModuleList(
            EnhancerLayer(width, config.enhancer_heads, config.enhancer_channels, config.dropout)
            for _ in range(config.enhancer_layers)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Estimate the clean features: (batch, mels, frames) to the same shape."""
        sequence = self.spectral(features.transpose(1, 2))
        for layer in self.layer_stack:
            sequence = layer(sequence)
        return sequence.transpose(1, 2)


class DiffSV(ResidualEncoder):
    """Enhancer, diffusion denoiser and extractor in a row; initialised as PyTorch initialises its layers.

    The enhancer's estimate is the prior of the diffusion, whose result together with the prior and the noisy features
    makes the extractor's three input maps.
    """

    def __init__(self, config: DiffSVConfig) -> None:
        super().__init__(config, in_channels=3, mels_as_channels=True)
        self.config = config
        self.enhancer = Enhancer(config)
        self.denoiser = nn.ModuleDict({"model": ScoreNet(config.score_channels, config.score_heads)})

    @property
    def score(self) -> ScoreNet:
        """The score network."""
        return self.denoiser["model"]

    @torch.no_grad()
    def denoise(self, prior: Tensor, noise: Tensor | None, num_steps: int, solver: str = "euler") -> Tensor:
        """Sample clean features given their estimate by the enhancer; no gradient passes, as published.

        Parameters
        ----------
        prior : (batch, mels, frames) torch.Tensor
        noise : (batch, mels, frames) torch.Tensor, optional
            Unit Gaussian; none starts at the prior.
        num_steps, solver : int, str
            See `sv.models.diffusion.sample`.
        """
        start = prior if noise is None else prior + noise
        return sample(self.score, start, prior, num_steps, solver)

    def extract(self, features: Tensor, prior: Tensor, denoised: Tensor) -> Tensor:
        """Embed the noisy features, their estimate and the denoised ones: (batch, embedding_dim)."""
        return self.embed_maps(torch.stack([features, prior, denoised], dim=1))

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim), a function of each item's features alone."""
        return self._embed(features, self.enhancer(features))

    def forward(self, features: Tensor) -> Embedded:
        """Embed (batch, mels, frames) features; `enhanced` is the enhancer's estimate, the prior of the diffusion."""
        prior = self.enhancer(features)
        return Embedded(self._embed(features, prior), prior)

    def _embed(self, features: Tensor, prior: Tensor) -> Tensor:
        sampling = self.config.sampling
        embeddings = [
            self.extract(features, prior, self.denoise(prior, noise, sampling.num_steps, sampling.solver))
            for noise in noises_of(sampling, features)
        ]
        return embeddings[0] if len(embeddings) == 1 else torch.stack([F.normalize(e) for e in embeddings]).mean(dim=0)
