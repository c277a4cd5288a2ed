#!/usr/bin/env python3
"""Diff-SV's extraction: ours against the published way, at equal sampling steps, and over the number of steps.

    python benchmarks/diff_sv.py [--num-frames 384] [--num-threads 1] [--num-rounds 5]

The published way embeds one segment at a time with attention unfolded (queries, values and all heads' outputs are built),
Mish composed of its parts, no normalisation folded. Both give the same embeddings, which is checked. The fully folded
form runs as extraction does. Ratios are of seconds a segment.
"""

import argparse
import copy
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from common import median_seconds, print_table
from torch import Tensor, nn

from sv.models.diff_sv import DiffSV, DiffSVConfig, SamplingConfig
from sv.models.diffusion import HEAD_DIM, LinearAttention, Mish
from sv.models.folding import for_inference

STEPS = (10, 5, 2)


class UnfoldedAttention(nn.Module):
    """Linear attention as it is written down: every query, key, value and output is a map."""

    def __init__(self, layer: LinearAttention) -> None:
        super().__init__()
        self.to_qkv, self.to_out, self.num_heads = layer.to_qkv, layer.to_out, layer.num_heads

    def forward(self, maps: Tensor) -> Tensor:
        batch, _, mels, frames = maps.shape
        heads = self.to_qkv(maps).reshape(batch, 3, self.num_heads, HEAD_DIM, mels * frames)
        queries, keys, values = heads.unbind(1)
        context = torch.einsum("bhdn,bhen->bhde", keys.softmax(dim=-1), values)
        out = torch.einsum("bhde,bhdn->bhen", context, queries)
        return self.to_out(out.reshape(batch, -1, mels, frames))


class ComposedMish(nn.Module):
    """x tanh(softplus(x)), in three passes."""

    def forward(self, values: Tensor) -> Tensor:
        return values * torch.tanh(F.softplus(values))


def published_way(model: DiffSV) -> DiffSV:
    """A copy of the model that computes as the published code does."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LinearAttention):
                setattr(parent, name, UnfoldedAttention(child))
            elif isinstance(child, (Mish, nn.Mish)):
                setattr(parent, name, ComposedMish())
    return model


def with_steps(model: DiffSV, num_steps: int) -> DiffSV:
    """The same module with another number of sampling steps; weights are shared."""
    other = copy.copy(model)
    other.config = replace(model.config, sampling=SamplingConfig(num_steps=num_steps))
    return other


def one_at_a_time(model: DiffSV, segments: Tensor) -> Callable[[], Tensor]:
    """A call that embeds the segments one after the other."""

    def run() -> Tensor:
        with torch.inference_mode():
            return torch.cat([model.embed(segment) for segment in segments.split(1)])

    return run


def main() -> None:
    """Check that both ways agree, time them in turns, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-frames", type=int, default=384)
    parser.add_argument("--num-segments", type=int, default=2)
    parser.add_argument("--num-threads", type=int, default=1, help="torch threads (default: %(default)s)")
    parser.add_argument("--num-rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.num_threads)
    torch.manual_seed(0)
    model = DiffSV(DiffSVConfig()).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if name.endswith(".g"):
            parameter.fill_(0.1)  # open the attention's gates, which start closed
    segments = torch.randn(args.num_segments, 80, args.num_frames)
    published, ours = published_way(model), for_inference(model)
    torch.testing.assert_close(
        one_at_a_time(ours, segments)(), one_at_a_time(published, segments)(), rtol=1e-3, atol=1e-3
    )
    cases = {"published way": one_at_a_time(published, segments)}
    cases |= {f"ours, {steps} steps": one_at_a_time(with_steps(ours, steps), segments) for steps in STEPS}
    seconds = median_seconds(cases, args.num_rounds)
    print_table(
        f"Diff-SV, {args.num_segments} segments of {args.num_frames} frames, {args.num_threads} threads; published: 10 steps",
        ["how", "s/segment", "times faster"],
        [
            [case, f"{spent / args.num_segments:.2f}", f"{seconds['published way'] / spent:.2f}"]
            for case, spent in seconds.items()
        ],
    )


if __name__ == "__main__":
    main()
