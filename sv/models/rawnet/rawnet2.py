"""RawNet2 (Jung et al. 2020, "Improved RawNet with Feature Map Scaling", Interspeech; arXiv:2004.00526)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sv.models.blocks import initialise
from sv.models.frame_layers import FrameNorm, TimeConv
from sv.models.network import Network
from sv.models.rawnet.blocks import POOL, RecurrentEmbedding, Scaling, encode, leaky_relu, raw_blocks, waveforms_of
from sv.models.rawnet.sincnet import LENGTH, sinc_filters

STD_EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class RawNet2Config:
    """RawNet2 and its ablations; the defaults are the published model without the published code's error.

    Attributes
    ----------
    front_end : "sinc" or "strided"
        Learned band-pass filters, magnitude and pooling; or RawNet1's convolution of length and stride 3.
    ln_affine : "per_sample" or "none"
        After normalising a segment to zero mean and unit deviation, the published model has a gain and an offset for
        each sample position, so that it reads segments of exactly `num_samples`; "none" reads any length.
    num_samples : int
        Of a segment; used with "per_sample" only.
    fms : "none", "mul", "add", "mul_add" or "add_mul"
        Feature map scaling, see `FeatureMapScaling`.
    preact_bypass : bool
        Leave out each block's first normalisation and ReLU, as the published weights need it.
    channels : tuple of int
        Of the blocks' outputs; the front end has as many as the first.
    gru_dim, embedding_dim : int
    """

    front_end: Literal["sinc", "strided"] = "sinc"
    ln_affine: Literal["per_sample", "none"] = "per_sample"
    num_samples: int = 59_049
    fms: Scaling = "mul_add"
    preact_bypass: bool = False
    channels: tuple[int, ...] = (128, 128, 256, 256, 256, 256)
    gru_dim: int = 1024
    embedding_dim: int = 1024
    num_mel_bins: ClassVar[None] = None

    def __post_init__(self) -> None:
        if not self.channels or min(self.channels) < 1:
            raise ValueError(f"channels must be positive numbers, one per block, got {self.channels}")
        if self.gru_dim < 1 or self.embedding_dim < 1:
            raise ValueError(f"gru_dim and embedding_dim must be positive, got {self.gru_dim}, {self.embedding_dim}")
        if self.ln_affine == "per_sample" and self.num_samples < self.min_samples:
            raise ValueError(f"num_samples must be at least {self.min_samples}, got {self.num_samples}")

    @property
    def min_samples(self) -> int:
        """The shortest waveform that leaves one frame."""
        frames = POOL ** (len(self.channels) + 1)  # samples of the front end's first output that are pooled into one
        return frames + LENGTH - 1 if self.front_end == "sinc" else frames


class SegmentNorm(nn.Module):
    """Zero mean and unit deviation over a segment, then one gain and one offset per sample position (or neither).

    Not PyTorch's layer norm: the deviation is the unbiased one, and epsilon is added to it rather than to the variance,
    so that digital silence stays silence.
    """

    def __init__(self, num_samples: int | None) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_samples)) if num_samples else None
        self.beta = nn.Parameter(torch.zeros(num_samples)) if num_samples else None

    def forward(self, waveforms: Tensor) -> Tensor:
        """Map (batch, samples) to the same shape; raises ValueError for a length that the affine map does not have."""
        std, mean = torch.std_mean(waveforms, dim=-1, keepdim=True)
        normalised = (waveforms - mean) / (std + STD_EPSILON)
        if self.gamma is None:
            return normalised
        if waveforms.shape[-1] != len(self.gamma):
            raise ValueError(
                f"this RawNet2 reads segments of exactly {len(self.gamma)} samples, got {waveforms.shape[-1]}; "
                'ln_affine = "none" trains one that reads any length'
            )
        return torch.addcmul(self.beta, normalised, self.gamma)


class RawNet2(Network):
    """Waveforms to embeddings through sinc filters, residual blocks with feature map scaling, and a GRU."""

    def __init__(self, config: RawNet2Config) -> None:
        super().__init__()
        self.config = config
        width = config.channels[0]
        self.ln = SegmentNorm(config.num_samples if config.ln_affine == "per_sample" else None)
        self.first_conv = sinc_filters(width) if config.front_end == "sinc" else TimeConv(1, width, POOL, stride=POOL)
        self.first_bn = FrameNorm(width)
        self.blocks = raw_blocks(width, config.channels, bypass=config.preact_bypass, scaling=config.fms)
        self.tail = RecurrentEmbedding(config.channels[-1], config.gru_dim, config.embedding_dim)
        self.apply(initialise)

    def front_end(self, waveforms: Tensor) -> Tensor:
        """Normalise and filter (batch, samples): (batch, channels, frames)."""
        normalised = self.ln(waveforms)[:, None]
        sinc = self.config.front_end == "sinc"
        maps = self.first_conv.pooled_magnitude(normalised, POOL) if sinc else self.first_conv(normalised)
        return leaky_relu(self.first_bn(maps))

    def embed(self, features: Tensor) -> Tensor:
        """Embed waveforms (batch, 1, samples): (batch, embedding_dim), not length-normalised."""
        waveforms = waveforms_of(features, self.config.min_samples)
        return self.tail(encode(lambda part: self.blocks(self.front_end(part)), self, waveforms))
