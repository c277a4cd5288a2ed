"""Score-based diffusion on log-mel maps: the schedule, the samplers and the score network of Diff-SV.

The forward process ends near N(prior, I), the prior being an estimate of the clean features, rather than near N(0, I)
(Popov et al. 2021, Grad-TTS, arXiv:2105.06337, section 3; Kim et al. 2023, Diff-SV, arXiv:2309.08320). Parameter names
are those of the published Diff-SV code. Maps are (batch, channels, mels, frames), features (batch, mels, frames).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sv.models.blocks import pad_frames

BETA_MIN, BETA_MAX = 0.05, 20.0  # noise rate at times 0 and 1
TIME_MARGIN = 1e-5  # training times stay this far from 0 and 1
TIME_SCALE = 1000.0  # of the times that the network embeds
MAX_PERIOD = 10_000.0
SIGNAL_RANGE = 10.0  # clean features are no further than this from the prior, in natural logarithms of power
GROUPS = 8
CPU_BATCH = 4  # utterances whose maps at the finest level are computed together: more leave the cache, and the heap
HEAD_DIM = 32

Score = Callable[[Tensor, Tensor, Tensor], Tensor]  # (state, prior, times) -> score, shaped like the state


def noise_rate(times: Tensor) -> Tensor:
    """beta(t) = 0.05 + 19.95 t of times in [0, 1]."""
    return BETA_MIN + (BETA_MAX - BETA_MIN) * times


def accumulated_noise(times: Tensor) -> Tensor:
    """Integral of `noise_rate` from 0 to each of the times."""
    return BETA_MIN * times + 0.5 * (BETA_MAX - BETA_MIN) * times.square()


def signal_scale(times: Tensor) -> Tensor:
    """Share that is left of the distance from the prior to the clean features: exp(-accumulated / 2)."""
    return torch.exp(-0.5 * accumulated_noise(times))


def noise_variance(times: Tensor) -> Tensor:
    """Variance of the noise in the state: 1 - exp(-accumulated), without cancellation near 0."""
    return -torch.expm1(-accumulated_noise(times))


def diffuse(clean: Tensor, prior: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """State of the forward process, drawn from its marginal.

    Parameters
    ----------
    clean, prior, noise : (batch, mels, frames) torch.Tensor
    times : (batch,) torch.Tensor
        In [0, 1].
    """
    times = times[:, None, None]
    return prior + signal_scale(times) * (clean - prior) + noise_variance(times).sqrt() * noise


def diffusion_loss(score: Score, clean: Tensor, prior: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """Denoising score matching, each time weighted by its noise variance (arXiv:2105.06337, eq. 18); a scalar.

    The gradient reaches the prior too: through the network's input and through the state.
    """
    estimate = score(diffuse(clean, prior, times, noise), prior, times)
    return (noise_variance(times)[:, None, None].sqrt() * estimate + noise).square().mean()


def euler_step(score: Score, state: Tensor, prior: Tensor, time: float, size: float) -> Tensor:
    """Plain Euler step of the probability-flow ODE with the rates of the step's midpoint, as published.

    beta h / 2 is up to 0.95 with ten steps and 3.75 with two, so few steps overshoot.
    """
    middle = torch.full((1,), time - 0.5 * size, dtype=state.dtype, device=state.device)
    drift = 0.5 * noise_rate(middle) * (prior - state - score(state, prior, middle))
    return state - size * drift


def exponential_step(score: Score, state: Tensor, prior: Tensor, time: float, size: float) -> Tensor:
    """Step that is exact while the estimated noise stays the same (the DDIM form; Song et al. 2021, arXiv:2010.02502).

    The signal that the noise leaves is clipped, as samplers of images do: at time 1 it is a 150th of the state, so that
    it takes an error of the score 150-fold, which a network in its first epochs does not survive.
    """
    now, then = (torch.full((1,), max(0.0, at), dtype=state.dtype, device=state.device) for at in (time, time - size))
    spread = noise_variance(now).sqrt()
    noise = -spread * score(state, prior, now)
    signal = ((state - prior - spread * noise) / signal_scale(now)).clamp(-SIGNAL_RANGE, SIGNAL_RANGE)
    return prior + signal_scale(then) * signal + noise_variance(then).sqrt() * noise


SOLVERS = {"euler": euler_step, "exponential": exponential_step}


def sample(score: Score, start: Tensor, prior: Tensor, num_steps: int, solver: str = "euler") -> Tensor:
    """Follow the probability-flow ODE from time 1 to time 0 in uniform steps; no noise is added on the way.

    Parameters
    ----------
    score : callable
        Maps (state, prior, times of shape (1,)) to the score.
    start, prior : (batch, mels, frames) torch.Tensor
        State at time 1: the prior plus unit Gaussian noise; and the prior.
    num_steps : int
    solver : "euler" or "exponential"
    """
    step, size, state = SOLVERS[solver], 1.0 / num_steps, start
    for number in range(num_steps):
        state = step(score, state, prior, 1.0 - number * size, size)
    return state


def time_embedding(times: Tensor, dim: int) -> Tensor:
    """Sines, then cosines of the scaled times at `dim` / 2 frequencies: (batch,) to (batch, dim)."""
    half = dim // 2
    # The frequencies are float32 whatever the dtype, as in the published code: they reach 1000 radians.
    exponents = torch.arange(half, device=times.device).float() * (-math.log(MAX_PERIOD) / (half - 1))
    angles = TIME_SCALE * times[:, None] * torch.exp(exponents)[None]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Mish(nn.Module):
    """x tanh(softplus(x)) (Misra 2020, arXiv:1908.08681); without a gradient to keep, by one exponential."""

    def forward(self, values: Tensor) -> Tensor:
        """Apply it to each value: with n = e^x + e^2x / 2, x n / (n + 1), twice as fast on a CPU as PyTorch's."""
        if torch.is_grad_enabled():
            return F.mish(values)
        exponential = values.clamp(max=20.0).exp_()  # beyond, the factor is 1 to all digits
        ratio = exponential.addcmul_(exponential, exponential, value=0.5)
        return ratio.div_(ratio + 1).mul_(values)


class ConvBlock(nn.Module):
    """3x3 convolution, group normalisation, Mish."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.block = nn.Sequential(conv, nn.GroupNorm(GROUPS, out_channels), Mish())

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, in_channels, mels, frames) to (batch, out_channels, mels, frames)."""
        return self.block(maps)


class TimedBlock(nn.Module):
    """Two convolution blocks around a shortcut, with the time added between them."""

    def __init__(self, in_channels: int, out_channels: int, time_dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(Mish(), nn.Linear(time_dim, out_channels))
        self.block1 = ConvBlock(in_channels, out_channels)
        self.block2 = ConvBlock(out_channels, out_channels)
        self.res_conv = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, maps: Tensor, time: Tensor) -> Tensor:
        """Map (batch, in_channels, mels, frames) and embedded times (batch or 1, time_dim)."""
        hidden = self.block1(maps) + self.mlp(time)[:, :, None, None]
        return self.block2(hidden) + self.res_conv(maps)


class LinearAttention(nn.Module):
    """Attention whose cost is linear in the positions (Shen et al. 2021, arXiv:1812.01243); queries are not normalised.

    Heads of 32; every position of a map is a key.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, hidden = num_heads, num_heads * HEAD_DIM
        self.to_qkv = nn.Conv2d(channels, 3 * hidden, 1, bias=False)
        self.to_out = nn.Conv2d(hidden, channels, 1)

    def matrices(self, values: Tensor) -> Tensor:
        """Per-utterance matrices M such that M @ values is the attention output without its bias: (batch, channels, channels).

        All but the keys is linear in the positions, so it is one matrix per utterance: neither queries, values nor the heads'
        outputs are ever built. What is as long as the positions is a head's keys, one head after the other.
        """
        heads = [weight.chunk(self.num_heads) for weight in self.to_qkv.weight.flatten(1).chunk(3)]
        outs = self.to_out.weight.flatten(1).chunk(self.num_heads, dim=1)
        total = values.new_zeros(())
        for queries, keys, contents, out in zip(*heads, outs, strict=True):
            # Both products batched as they lie in memory: broadcast, PyTorch would copy the maps and the weights.
            weights = torch.bmm(keys.expand(values.shape[0], -1, -1), values).softmax(dim=-1)
            pooled = torch.bmm(values, weights.transpose(1, 2))  # (batch, channels, head_dim)
            total = total + (out @ contents) @ (pooled @ queries)
        return total


class Gated(nn.Module):
    """Attention and the learned scalar that it is multiplied by, which starts at 0 (Bachlechner et al. 2021, arXiv:2003.04887)."""

    def __init__(self, fn: LinearAttention) -> None:
        super().__init__()
        self.fn = fn
        self.g = nn.Parameter(torch.zeros(1))


class AddedAttention(nn.Module):
    """The maps plus gated linear attention over them."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.fn = Gated(LinearAttention(channels, num_heads))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (batch, channels, mels, frames) to the same shape, in the same memory layout."""
        attention, gate, values = self.fn.fn, self.fn.g, maps.flatten(2)
        matrices = torch.eye(values.shape[1], dtype=gate.dtype, device=gate.device) + gate * attention.matrices(values)
        bias = gate * attention.to_out.bias
        if maps.is_contiguous():
            return torch.baddbmm(bias[:, None], matrices, values).view_as(maps)
        rows = torch.baddbmm(bias, values.transpose(1, 2), matrices.transpose(1, 2))
        return rows.transpose(1, 2).unflatten(2, maps.shape[2:])


class Resampled(nn.Module):
    """A strided convolution, under the name that it has in published weights."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, maps: Tensor) -> Tensor:
        """Map to half or to twice the mels and frames."""
        return self.conv(maps)


def halving(channels: int) -> Resampled:
    """Half the mels and frames."""
    return Resampled(nn.Conv2d(channels, channels, 3, stride=2, padding=1))


def doubling(channels: int) -> Resampled:
    """Twice the mels and frames."""
    return Resampled(nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1))


def level(in_channels: int, out_channels: int, time_dim: int, num_heads: int, resample: nn.Module) -> nn.ModuleList:
    """Two timed blocks, attention and a change of resolution."""
    return nn.ModuleList(
        [
            TimedBlock(in_channels, out_channels, time_dim),
            TimedBlock(out_channels, out_channels, time_dim),
            AddedAttention(out_channels, num_heads),
            resample,
        ]
    )


class ScoreNet(nn.Module):
    """U-Net that estimates the score of noisy features given the prior (the score network of Grad-TTS, 2 maps in).

    Parameters
    ----------
    channels : int
        Of the finest level; the two coarser ones have two and four times as many. A multiple of 8.
    num_heads : int
        Of every attention.
    """

    def __init__(self, channels: int = 16, num_heads: int = 4) -> None:
        super().__init__()
        narrow, middle, wide = channels, 2 * channels, 4 * channels
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), Mish(), nn.Linear(4 * channels, channels))
        self.downs = nn.ModuleList(
            [
                level(2, narrow, channels, num_heads, halving(narrow)),
                level(narrow, middle, channels, num_heads, halving(middle)),
                level(middle, wide, channels, num_heads, nn.Identity()),
            ]
        )
        self.mid_block1 = TimedBlock(wide, wide, channels)
        self.mid_attn = AddedAttention(wide, num_heads)
        self.mid_block2 = TimedBlock(wide, wide, channels)
        self.ups = nn.ModuleList(
            [
                level(2 * wide, middle, channels, num_heads, doubling(middle)),
                level(2 * middle, narrow, channels, num_heads, doubling(narrow)),
            ]
        )
        self.final_block = ConvBlock(narrow, narrow)
        self.final_conv = nn.Conv2d(narrow, 1, 1)
        self.channels = channels

    def forward(self, state: Tensor, prior: Tensor, times: Tensor) -> Tensor:
        """Estimate the score.

        Parameters
        ----------
        state, prior : (batch, mels, frames) torch.Tensor
            Mels are a multiple of 4; frames are padded to one with their last value.
        times : (batch,) or (1,) torch.Tensor
            In [0, 1].

        Returns
        -------
        (batch, mels, frames) torch.Tensor
        """
        if state.device.type == "cpu" and len(state) > CPU_BATCH:
            pieces = zip(*(values.split(CPU_BATCH) for values in (state, prior, times.expand(len(state)))), strict=True)
            return torch.cat([self._score(*piece) for piece in pieces])
        return self._score(state, prior, times)

    def _score(self, state: Tensor, prior: Tensor, times: Tensor) -> Tensor:
        time = self.mlp(time_embedding(times, self.channels).to(state.dtype))
        maps, skips = pad_frames(torch.stack([prior, state], dim=1)), []
        for first, second, attention, downsample in self.downs:
            maps = attention(second(first(maps, time), time))
            skips.append(maps)
            maps = downsample(maps)
        maps = self.mid_block2(self.mid_attn(self.mid_block1(maps, time)), time)
        for first, second, attention, upsample in self.ups:  # the finest skip is left, as published
            maps = torch.cat([maps, skips.pop()], dim=1)
            maps = upsample(attention(second(first(maps, time), time)))
        return self.final_conv(self.final_block(maps))[:, 0, :, : state.shape[-1]]
