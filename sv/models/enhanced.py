"""An extractor behind a network that enhances its features: ExU-Net's U-Net (Kim et al. 2022, arXiv:2206.13044) in front.

The U-Net estimates what has to be added to the features, in units of each mel bin's standard deviation over frames, as it
reads them: it suits logarithms and powers alike. Its last layer starts at 0, so that training starts from the extractor
as it is.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor, nn

from sv.base.config import shown
from sv.models.blocks import initialise
from sv.models.exu_net import Decoding, EncoderDecoder
from sv.models.nested import inner_network, inner_record
from sv.models.network import Network
from sv.models.output import Embedded
from sv.models.resnet import TrunkConfig


@dataclass(frozen=True, kw_only=True)
class EnhancedConfig:
    """Sizes of the U-Net, and the table of the extractor.

    Attributes
    ----------
    channels, blocks : tuple of 4 ints
        Width and number of residual blocks of each level of the U-Net.
    background : bool
        Estimate what is heard besides speech, too, by a second decoder, which embedding does not run; for the training term
        `mixture`, see `sv.losses.mixture`.
    extractor : dict
        The [model] table of the extractor, its type included.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128)
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    background: bool = field(default=False, metadata={"later": True})  # older runs do not tell it
    extractor: dict = field(default_factory=lambda: {"type": "campplus"})

    def __post_init__(self) -> None:
        if self.inner.num_mel_bins is None:
            raise ValueError(
                f"extractor: {shown(self.extractor.get('type'))} reads waveforms, and a U-Net enhances features of mel bins; "
                "adapt all of it, or by adapters"
            )
        self.trunk  # noqa: B018  (its own checks)

    @cached_property
    def inner(self) -> Any:
        """Record of the extractor."""
        return inner_record(self.extractor, ("enhanced",))

    @cached_property
    def trunk(self) -> TrunkConfig:
        """Record of the U-Net."""
        return TrunkConfig(num_mel_bins=self.num_mel_bins, channels=self.channels, blocks=self.blocks)

    @property
    def num_mel_bins(self) -> int:
        """Rows of the features."""
        return self.inner.num_mel_bins

    @property
    def embedding_dim(self) -> int:
        """Width of the extractor's embedding."""
        return self.inner.embedding_dim


class Separated(NamedTuple):
    """Speech and what is behind it.

    Attributes
    ----------
    embedding : (batch, dim) torch.Tensor
    enhanced, background : (batch, mels, frames) torch.Tensor
        In the domain of the input features; the latter None without a decoder of it.
    """

    embedding: Tensor
    enhanced: Tensor
    background: Tensor | None


class Enhancer(EncoderDecoder):
    """The encoder and decoder of a U-Net, without the layers that embed."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__(config, mels_as_channels=False)
        del self.attention, self.bn_agg, self.fc, self.bn_code
        self.apply(initialise)
        nn.init.zeros_(self.uconv_4.weight)

    def embed(self, features: Tensor) -> Tensor:
        """Enhance (batch, mels, frames) features; the same shape."""
        return with_added(features, self, self.encode(features))


class Background(Decoding):
    """A second decoder of an enhancer's maps."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__(config, mels_as_channels=False)
        del self.conv1, self.bn1, self.attention, self.bn_agg, self.fc, self.bn_code
        self.add_decoder()
        self.apply(initialise)
        nn.init.zeros_(self.uconv_4.weight)


def with_added(features: Tensor, decoder: Decoding, encoded: list[Tensor]) -> Tensor:
    """(batch, mels, frames) features and what a decoder adds, in units of each mel bin's deviation."""
    _, added = decoder.decode(encoded)
    return features + features.std(dim=2, keepdim=True, unbiased=False) * added[:, 0, :, : features.shape[-1]]


class EnhancedNetwork(Network):
    """Enhance features, and embed what results."""

    def __init__(self, config: EnhancedConfig) -> None:
        super().__init__()
        self.config = config
        self.enhancer = Enhancer(config.trunk)
        self.extractor = inner_network(config.extractor, config.inner)
        self.background = Background(config.trunk) if config.background else None

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames) features: (batch, embedding_dim)."""
        return self.extractor.embed(self.enhancer.embed(features))

    def forward(self, features: Tensor) -> Embedded:
        """Enhance (batch, mels, frames) features, and embed what results."""
        enhanced = self.enhancer.embed(features)
        return Embedded(self.extractor.embed(enhanced), enhanced)

    def separate(self, features: Tensor) -> Separated:
        """Enhance and embed as `forward`, and estimate the background, if there is a decoder of it."""
        encoded = self.enhancer.encode(features)
        enhanced = with_added(features, self.enhancer, encoded)
        background = with_added(features, self.background, encoded) if self.background is not None else None
        return Separated(self.extractor.embed(enhanced), enhanced, background)

    def folded(self) -> nn.Module:
        """Return the network without its background, which no embedding needs."""
        self.background = None
        return super().folded()
