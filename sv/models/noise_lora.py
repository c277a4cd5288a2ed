"""NoiseLoRA-SV (Gao et al. 2026, Interspeech): ECAPA-TDNN with low-rank adapters that are made from the utterance's noise.

A network describes the noise (`sv.models.noise_network`). After ECAPA-TDNN's first layer and each of its blocks an adapter
adds to the maps x the change B silu(A x), whose two matrices, of low rank, are made from the description of the whole
utterance; from the second block on, the change of each frame is weighted by the description of that frame.

`sv.models.changes`, whose changes are learned once and lie in the weights, is another thing. As published: the adapters'
hidden layers, and the fusion of scales without a shortcut. The paper's figure has neither, but a shortcut, and it counts 24.19
million parameters, where the published code (j128djsj/NoiseLoRA-SV) has 26.87 for inference and 28.08 with the decoder.
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.base.config import require
from sv.models.ecapa_tdnn import ECAPATDNN, ECAPATDNNConfig, centred
from sv.models.noise_network import MEL_STRIDE, NUM_LEVELS, NoiseCues, NoiseNetwork

UNGATED = 2  # adapters, from the first on, that look at the whole utterance alone


@dataclass(frozen=True, kw_only=True)
class NoiseLoRAConfig(ECAPATDNNConfig):
    """Sizes of ECAPA-TDNN, of the noise network and of the adapters; the defaults are the published ones.

    Attributes
    ----------
    noise_channels : tuple of 4 ints
        Of the noise network's levels, finest first.
    rnn_channels, rnn_hidden, noise_dim : int
        See `sv.models.noise_network.NoiseNetwork`.
    rank : int
        Of the adapters' matrices.
    alpha : float
        The change is multiplied by alpha / rank.
    hyper_hidden : int
        Width of the layers that make the matrices.
    gate_hidden : int
        Channels of the layers that weigh frames.
    init_scale : float
        Deviation of the weights that the matrices are made with, at first.
    """

    channels: int = 1024
    attention_channels: int = 256
    summed_inputs: bool = True
    attention_norm: bool = True
    clamped_context: bool = True
    variance_floor: float = 1e-4
    noise_channels: tuple[int, ...] = (32, 64, 128, 256)
    rnn_channels: int = 64
    rnn_hidden: int = 256
    noise_dim: int = 128
    rank: int = 4
    alpha: float = 8.0
    hyper_hidden: int = 256
    gate_hidden: int = 64
    init_scale: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self,
            at_least_one=("rnn_channels", "rnn_hidden", "noise_dim", "rank", "hyper_hidden", "gate_hidden"),
            positive=("alpha",),
            not_negative=("init_scale",),
        )
        if len(self.noise_channels) != NUM_LEVELS or min(self.noise_channels) < 1:
            raise ValueError(f"noise_channels must be {NUM_LEVELS} positive numbers, got {self.noise_channels}")
        if self.num_mel_bins % MEL_STRIDE:
            raise ValueError(
                f"num_mel_bins must be a multiple of {MEL_STRIDE}, the noise network's stride, got {self.num_mel_bins}"
            )

    @property
    def encoder(self) -> ECAPATDNNConfig:
        """Of the ECAPA-TDNN alone."""
        return ECAPATDNNConfig(**{field.name: getattr(self, field.name) for field in fields(ECAPATDNNConfig)})


class NoiseAdapter(nn.Module):
    """Change of low rank of maps over time, made from a description of the noise in each utterance."""

    def __init__(self, config: NoiseLoRAConfig, *, gated: bool) -> None:
        super().__init__()
        hidden, size = config.hyper_hidden, config.rank * config.channels
        self.rank, self.scale = config.rank, config.alpha / config.rank
        self.trunk = nn.Sequential(nn.Linear(config.noise_dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.down, self.up = nn.Linear(hidden, size), nn.Linear(hidden, size)
        self.gate = None
        if gated:
            wide = nn.Conv2d(config.noise_dim, config.gate_hidden, 3, padding=1)
            self.gate = nn.Sequential(wide, nn.ReLU(), nn.Conv2d(config.gate_hidden, 1, 1))
        self._initialise(config.init_scale)

    def _initialise(self, scale: float) -> None:
        for layer in (self.trunk[0], self.trunk[2]):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.down, self.up):
            nn.init.normal_(layer.weight, std=scale)
        for layer in (self.trunk[0], self.trunk[2], self.down, self.up):
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Tensor, cues: NoiseCues) -> Tensor:
        """Map (batch, channels, frames) to the same shape."""
        hidden = self.trunk(cues.whole)
        down = self.down(hidden).unflatten(1, (self.rank, -1))  # (batch, rank, channels)
        up = self.up(hidden).unflatten(1, (-1, self.rank))  # (batch, channels, rank)
        change = torch.bmm(up, F.silu(torch.bmm(down, maps)))
        if self.gate is not None:
            change = change * torch.sigmoid(self.gate(cues.local).mean(dim=2))
        return maps + self.scale * change


class NoiseLoRA(ECAPATDNN):
    """ECAPA-TDNN adapted to the noise that it hears; its own weights have the names that they have in an ECAPA-TDNN.

    Features are centred, each mel bin to mean 0 over the segment.
    """

    def __init__(self, config: NoiseLoRAConfig) -> None:
        super().__init__(config)
        self.adapters = nn.ModuleList(
            NoiseAdapter(config, gated=number >= UNGATED) for number in range(1 + len(config.dilations))
        )
        self.noise = NoiseNetwork(
            config.num_mel_bins, config.noise_channels, config.rnn_channels, config.rnn_hidden, config.noise_dim
        )

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim); the noise is described, not estimated."""
        features = centred(features)
        return self._embed(features, self.noise.encode(features))

    def embed_and_estimate(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Embed (batch, mels, frames) features, and estimate the centred features, of that shape, of the noise in them."""
        features = centred(features)
        maps = self.noise.encode(features)
        return self._embed(features, maps), self.noise.decoder(maps)

    def _embed(self, features: Tensor, maps: list[Tensor]) -> Tensor:
        cues = self.noise.head(maps)
        return self.embed_centred(features, lambda number, hidden: self.adapters[number](hidden, cues))
