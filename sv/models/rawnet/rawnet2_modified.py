"""The RawNet family's later, "modified" RawNet2: alpha feature map scaling and attentive statistics.

There is no paper; the architecture is that of the authors' code, whose released version does not run as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from sv.models.folding import Foldable, fuse
from sv.models.frame_layers import TimeConv, folded_norm, max_pool
from sv.models.network import Network
from sv.models.pooling import weighted_statistics
from sv.models.rawnet.blocks import POOL, AlphaScaling, encode, leaky_relu, waveforms_of

ATTENTION_SLOPE = 0.01  # PyTorch's default, here alone


@dataclass(frozen=True, kw_only=True)
class RawNet2ModifiedConfig:
    """The defaults are the system with the published EER of 1.91 %.

    Attributes
    ----------
    channels, blocks : tuple of int
        Width and number of residual blocks of each layer; the last block of a layer pools three frames into one.
    attention_dim, embedding_dim : int
    pre_emphasis : float
        Of the waveform; 0 for none.
    """

    channels: tuple[int, ...] = (128, 128, 256, 256, 512, 512)
    blocks: tuple[int, ...] = (1, 1, 1, 2, 1, 2)
    attention_dim: int = 128
    embedding_dim: int = 512
    pre_emphasis: float = 0.97
    num_mel_bins: ClassVar[None] = None

    def __post_init__(self) -> None:
        if not self.channels or len(self.channels) != len(self.blocks) or min(*self.channels, *self.blocks) < 1:
            raise ValueError(
                f"channels and blocks must be positive numbers, one of each per layer, got {self.channels}, {self.blocks}"
            )
        if self.attention_dim < 1 or self.embedding_dim < 1:
            raise ValueError(f"attention_dim and embedding_dim must be positive, got {self}")

    @property
    def min_samples(self) -> int:
        """The shortest waveform that leaves one frame."""
        return POOL ** (len(self.channels) + 1)


class AlphaBlock(Foldable):
    """Pre-activation residual block (He et al. 2016, arXiv:1603.05027) with alpha feature map scaling.

    Parameters
    ----------
    in_channels, out_channels : int
        Where they differ, the shortcut is a 1x1 convolution of the *activated* input.
    pools : bool
        Make three frames one.
    """

    def __init__(self, in_channels: int, out_channels: int, *, pools: bool) -> None:
        super().__init__()
        self.pools = pools
        self.bn1 = nn.BatchNorm1d(in_channels)
        self.conv1 = TimeConv(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm1d(out_channels)
        self.conv2 = TimeConv(out_channels, out_channels, 3, padding=1, bias=False)
        self.afms = AlphaScaling(out_channels)
        changes = in_channels != out_channels
        self.shortcut = TimeConv(in_channels, out_channels, 1, bias=False) if changes else None

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames), or a third of the frames."""
        activated = leaky_relu(self.bn1(maps))
        shortcut = maps if self.shortcut is None else self.shortcut(activated)
        hidden = self.conv2(leaky_relu(self.bn2(self.conv1(activated)))) + shortcut
        return self.afms(max_pool(hidden, POOL) if self.pools else hidden)

    def folded(self) -> nn.Module:
        """Return the block with its second normalisation folded into the first convolution."""
        self.conv1, self.bn2 = fuse(self.conv1, self.bn2)
        self.bn1 = folded_norm(self.bn1)
        return super().folded()


def alpha_layers(channels: Sequence[int], blocks: Sequence[int]) -> nn.Sequential:
    """One run of blocks per layer; the last of each pools."""
    layers, width = [], channels[0]
    for out_channels, count in zip(channels, blocks, strict=True):
        inputs = (width, *[out_channels] * (count - 1))
        layers.append(nn.Sequential(*(AlphaBlock(n, out_channels, pools=i == count - 1) for i, n in enumerate(inputs))))
        width = out_channels
    return nn.Sequential(*layers)


class RawNet2Modified(Network):
    """Waveforms to embeddings."""

    def __init__(self, config: RawNet2ModifiedConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels[-1]
        self.conv1 = TimeConv(1, config.channels[0], POOL, stride=POOL)
        self.layers = alpha_layers(config.channels, config.blocks)
        self.bn_before_agg = nn.BatchNorm1d(width)
        self.attention = nn.Sequential(
            TimeConv(width, config.attention_dim, 1),
            nn.LeakyReLU(ATTENTION_SLOPE),
            nn.BatchNorm1d(config.attention_dim),
            TimeConv(config.attention_dim, width, 1),
            nn.Softmax(dim=-1),
        )
        self.fc = nn.Linear(2 * width, config.embedding_dim)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu")

    def embed(self, features: Tensor) -> Tensor:
        """Embed waveforms (batch, 1, samples): (batch, embedding_dim)."""
        waveforms = waveforms_of(features, self.config.min_samples, self.config.pre_emphasis)
        return self.fc(encode(self.pooled, self, waveforms))

    def pooled(self, waveforms: Tensor) -> Tensor:
        """Weighted means and deviations over frames of (batch, samples), (batch, 2 * channels)."""
        maps = leaky_relu(self.bn_before_agg(self.layers(self.conv1(waveforms[:, None]))))
        return weighted_statistics(maps, self.attention(maps))
