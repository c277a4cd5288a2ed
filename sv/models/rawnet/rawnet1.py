"""RawNet (Jung et al. 2019, "RawNet: Advanced end-to-end deep neural network using raw waveforms", arXiv:1904.08104).

Three models: the paper's, whose published code and weights are Keras'; the CNN from which its training starts; and the
authors' later port to PyTorch, which differs in blocks, GRU and embedding. All pre-emphasise the waveform.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from sv.models.blocks import initialise
from sv.models.folding import Foldable, fuse
from sv.models.frame_layers import TimeConv, max_pool
from sv.models.network import Network
from sv.models.rawnet.blocks import POOL, RecurrentEmbedding, leaky_relu, raw_blocks, waveforms_of
from sv.models.rawnet.keras_gru import KerasGRU

FULL_SCALE = 32_768.0  # the Keras models read 16-bit integers
CNN_CHANNELS = 256  # of the block and the convolution that the pre-training CNN has on top


@dataclass(frozen=True, kw_only=True)
class RawNet1CnnConfig:
    """The paper's pre-training CNN.

    Attributes
    ----------
    channels : tuple of int
        Of the residual blocks, which pool three frames into one each; the first layer has as many as the first block.
    embedding_dim : int
    dropout : float
        Of the last maps.
    pre_emphasis : float
        Of the waveform; 0 for none.
    """

    channels: tuple[int, ...] = (128, 128, 256, 256, 256, 256)
    embedding_dim: int = 128
    dropout: float = 0.5
    pre_emphasis: float = 0.97
    num_mel_bins: ClassVar[None] = None

    def __post_init__(self) -> None:
        _check(self.channels, self.embedding_dim, self.dropout)


@dataclass(frozen=True, kw_only=True)
class RawNet1Config:
    """The paper's model.

    Attributes
    ----------
    channels : tuple of int
        As in the pre-training CNN.
    gru_dim, embedding_dim : int
    dropout : float
        Of the GRU's state.
    pre_emphasis : float
    """

    channels: tuple[int, ...] = (128, 128, 256, 256, 256, 256)
    gru_dim: int = 1024
    embedding_dim: int = 128
    dropout: float = 0.3
    pre_emphasis: float = 0.97
    num_mel_bins: ClassVar[None] = None

    def __post_init__(self) -> None:
        _check((*self.channels, self.gru_dim), self.embedding_dim, self.dropout)


@dataclass(frozen=True, kw_only=True)
class RawNet1PyTorchConfig:
    """The port.

    Attributes
    ----------
    preact_bypass : bool
        Leave out each block's first normalisation and ReLU, as the published code does.
    channels : tuple of int
    gru_dim, embedding_dim : int
    pre_emphasis : float
    """

    preact_bypass: bool = False
    channels: tuple[int, ...] = (128, 128, 256, 256, 256, 256)
    gru_dim: int = 1024
    embedding_dim: int = 1024
    pre_emphasis: float = 0.97
    num_mel_bins: ClassVar[None] = None

    def __post_init__(self) -> None:
        _check((*self.channels, self.gru_dim), self.embedding_dim)


def _check(widths: tuple[int, ...], embedding_dim: int, dropout: float = 0.0) -> None:
    if len(widths) < 2 or min(*widths, embedding_dim) < 1:
        raise ValueError(f"all widths must be positive and there must be two blocks, got {widths}, {embedding_dim}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")


def batch_norm(channels: int) -> nn.BatchNorm1d:
    """Batch normalisation with Keras' constants."""
    return nn.BatchNorm1d(channels, eps=1e-3, momentum=0.01)


def initialise_keras(module: nn.Module) -> None:
    """He normal kernels, truncated at two deviations, and biases of 0; for `nn.Module.apply`."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        fan_in = module.weight[0].numel()
        std = (2 / fan_in) ** 0.5 / 0.87962566  # the deviation of a truncated normal is this much smaller
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        nn.init.zeros_(module.bias)


class PostActivationBlock(Foldable):
    """Residual block (He et al. 2016, arXiv:1512.03385), then max pooling of three frames."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = TimeConv(in_channels, out_channels, 3, padding=1)
        self.bn1 = batch_norm(out_channels)
        self.conv2 = TimeConv(out_channels, out_channels, 3, padding=1)
        self.bn2 = batch_norm(out_channels)
        self.downsample = None
        if in_channels != out_channels:
            self.downsample = nn.Sequential(TimeConv(in_channels, out_channels, 1), batch_norm(out_channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, frames) to (batch, out_channels, frames // 3)."""
        hidden = self.bn2(self.conv2(leaky_relu(self.bn1(self.conv1(maps)))))
        shortcut = maps if self.downsample is None else self.downsample(maps)
        return max_pool(leaky_relu(hidden + shortcut), POOL)

    def folded(self) -> nn.Module:
        """Return the block without normalisations."""
        self.conv1, self.bn1 = fuse(self.conv1, self.bn1)
        self.conv2, self.bn2 = fuse(self.conv2, self.bn2)
        if self.downsample is not None:
            self.downsample, _ = fuse(*self.downsample)
        return super().folded()


class RawNet1Trunk(Foldable):
    """Waveforms in [-1, 1) to maps; the part that pre-training hands on."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.strided_conv = TimeConv(1, channels[0], POOL, stride=POOL)
        self.bn = batch_norm(channels[0])
        inputs = (channels[0], *channels[:-1])
        self.blocks = nn.Sequential(*(PostActivationBlock(*pair) for pair in zip(inputs, channels, strict=True)))

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) to (batch, channels, frames)."""
        return self.blocks(leaky_relu(self.bn(self.strided_conv(FULL_SCALE * waveforms[:, None]))))

    def folded(self) -> nn.Module:
        """Return the trunk without normalisations."""
        self.strided_conv, self.bn = fuse(self.strided_conv, self.bn)
        return super().folded()


class RawNet1(Network):
    """The paper's CNN-GRU."""

    def __init__(self, config: RawNet1Config) -> None:
        super().__init__()
        self.config = config
        self.trunk = RawNet1Trunk(config.channels)
        self.gru = KerasGRU(config.channels[-1], config.gru_dim, config.dropout)
        self.fc = nn.Linear(config.gru_dim, config.embedding_dim)
        self.bn_fc = batch_norm(config.embedding_dim)
        self.apply(initialise_keras)

    def embed(self, features: Tensor) -> Tensor:
        """Embed waveforms (batch, 1, samples): (batch, embedding_dim)."""
        maps = self.trunk(waveforms_of(features, POOL ** (len(self.config.channels) + 1), self.config.pre_emphasis))
        return leaky_relu(self.bn_fc(self.fc(self.gru(maps.transpose(1, 2)))))


class RawNet1Cnn(Network):
    """The paper's pre-training CNN: one more block, a 1x1 convolution and the mean over time instead of the GRU."""

    def __init__(self, config: RawNet1CnnConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = RawNet1Trunk(config.channels)
        self.last_block = PostActivationBlock(config.channels[-1], CNN_CHANNELS)
        self.last_conv = TimeConv(CNN_CHANNELS, CNN_CHANNELS, 1)
        self.last_bn = batch_norm(CNN_CHANNELS)
        self.dropout = nn.Dropout(config.dropout)
        self.dense = nn.Linear(CNN_CHANNELS, config.embedding_dim)
        self.bn_dense = batch_norm(config.embedding_dim)
        self.apply(initialise_keras)

    def embed(self, features: Tensor) -> Tensor:
        """Embed waveforms (batch, 1, samples): (batch, embedding_dim)."""
        maps = self.last_block(
            self.trunk(waveforms_of(features, POOL ** (len(self.config.channels) + 2), self.config.pre_emphasis))
        )
        mean = self.dropout(leaky_relu(self.last_bn(self.last_conv(maps)))).mean(dim=-1)
        return leaky_relu(self.bn_dense(self.dense(mean)))

    def folded(self) -> nn.Module:
        """Return the network without normalisations of maps."""
        self.last_conv, self.last_bn = fuse(self.last_conv, self.last_bn)
        return super().folded()


class RawNet1PyTorch(Network):
    """The authors' port to PyTorch."""

    def __init__(self, config: RawNet1PyTorchConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels[0]
        self.first_conv = TimeConv(1, width, POOL, stride=POOL)
        self.first_bn = nn.BatchNorm1d(width)
        self.blocks = raw_blocks(width, config.channels, bypass=config.preact_bypass, scaling="none")
        self.tail = RecurrentEmbedding(config.channels[-1], config.gru_dim, config.embedding_dim)
        self.apply(initialise)

    def embed(self, features: Tensor) -> Tensor:
        """Embed waveforms (batch, 1, samples): (batch, embedding_dim)."""
        waveforms = waveforms_of(features, POOL ** (len(self.config.channels) + 1), self.config.pre_emphasis)
        return self.tail(self.blocks(leaky_relu(self.first_bn(self.first_conv(waveforms[:, None])))))

    def folded(self) -> nn.Module:
        """Return the network with the normalisations after its convolutions folded into them."""
        self.first_conv, self.first_bn = fuse(self.first_conv, self.first_bn)
        return super().folded()
