#!/usr/bin/env python3
"""The RawNets' extraction and training step: ours against the published way.

    python benchmarks/rawnet.py [--num-rounds 5]

The published RawNet2 embeds one segment at a time, RawNet3 an utterance's ten at once; filters are synthesised for each
pass, filtered at every sample, then pooled; no normalisation is folded; maps lie channel by channel. Ours is what
extraction and training run. Both give the same embeddings and losses, which is checked. Seconds are the processor's, of
one thread, the best of the rounds. Rates are fractions of the machine's own float32 matrix product rate; as operations
count those of the published way, so that a fraction above 1 says that some are saved.
"""

import argparse
import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import best_seconds, matrix_products, print_table, product_rate, training_step
from torch import Tensor, nn

from sv.losses import NormSoftmaxConfig, NormSoftmaxLoss
from sv.models.blocks import initialise
from sv.models.folding import for_inference
from sv.models.frame_layers import FrameNorm, SameConv
from sv.models.rawnet.rawnet2 import RawNet2, RawNet2Config
from sv.models.rawnet.rawnet3 import ContextAttention, RawNet3, RawNet3Config, Res2Block
from sv.models.rawnet.sincnet import SincFilters

NUM_SAMPLES = {"rawnet2": 59_049, "rawnet3": 64_000}
BATCH_SIZE = 16  # of RawNet2's segments, from many utterances
NUM_SEGMENTS = {"rawnet2": 2 * BATCH_SIZE, "rawnet3": 10}
TRAINING_BATCH, NUM_SPEAKERS = 4, 1211
OPERATIONS = {"rawnet2": 11.37e9, "rawnet3": 38.25e9}  # of a segment, the published way
EXTRACTION_AIM, TRAINING_AIM, RATE_AIM = 2.0, 1.3, 0.6


class FilterThenPool(nn.Module):
    """Filters at every sample, magnitudes, then pooling: each a map as long as the waveform."""

    def __init__(self, sinc: SincFilters) -> None:
        super().__init__()
        self.sinc = sinc

    def pooled_magnitude(self, waveforms: Tensor, pool: int) -> Tensor:
        return F.max_pool1d(self.sinc(waveforms).abs(), pool)


class GrowingRes2Block(nn.Module):
    """A Res2 block whose groups are concatenated one by one."""

    def __init__(self, block: Res2Block) -> None:
        super().__init__()
        self.block = block

    def forward(self, maps: Tensor) -> Tensor:
        block = self.block
        shortcut = maps if block.residual is None else block.residual(maps)
        first, *groups = block.bn1(F.relu(block.conv1(maps))).split(block.width, dim=1)
        done = before = block.bns[0](F.relu(block.convs[0](first)))
        for conv, bn, group in zip(block.convs[1:], block.bns[1:], groups):
            before = bn(F.relu(conv(before + group)))
            done = torch.cat([done, before], dim=1)
        hidden = block.bn3(F.relu(block.conv3(torch.cat([done, groups[-1]], dim=1)))) + shortcut
        hidden = F.max_pool1d(hidden, block.pool) if block.pool > 1 else hidden
        gates = torch.sigmoid(block.afms.fc(hidden.mean(dim=-1)))[:, :, None]
        return (hidden + block.afms.alpha) * gates


class ConcatenatedContext(nn.Module):
    """Attention on maps beside their mean and deviation, repeated at every frame."""

    def __init__(self, attention: ContextAttention) -> None:
        super().__init__()
        self.layers = nn.Sequential(*attention)

    def forward(self, maps: Tensor) -> Tensor:
        variance, mean = torch.var_mean(maps, dim=-1, keepdim=True)
        context = [maps, mean.expand_as(maps), variance.clamp(1e-4, 1e4).sqrt().expand_as(maps)]
        return self.layers(torch.cat(context, dim=1))


PUBLISHED = {SincFilters: FilterThenPool, Res2Block: GrowingRes2Block, ContextAttention: ConcatenatedContext}
PLAIN = {SameConv: nn.Conv1d, FrameNorm: nn.BatchNorm1d}  # that compute the same, channel by channel


def published_way(model: nn.Module) -> nn.Module:
    """A copy of the model that computes as the published code does."""
    model = copy.deepcopy(model)
    for name, child in list(model.named_children()):
        if type(child) in PUBLISHED:
            setattr(model, name, PUBLISHED[type(child)](child))
    for module in model.modules():
        module.__class__ = PLAIN.get(type(module), type(module))
    return model


def at_once(model: RawNet3, waveforms: Tensor) -> Tensor:
    """Embed all segments in one pass."""
    return model.fc6(model.bn5(model.pool(model.encode(model.front_end(waveforms[:, 0])))))


def extraction(name: str, model: nn.Module) -> dict[str, Callable[[], Tensor]]:
    """Calls that embed the same segments, the published way and ours."""
    segments = 0.1 * torch.randn(NUM_SEGMENTS[name], 1, NUM_SAMPLES[name])
    published, ours = published_way(model), for_inference(model)

    @torch.no_grad()
    def as_published() -> Tensor:
        if name == "rawnet3":
            return at_once(published, segments)
        return torch.cat([published.embed(segment) for segment in segments.split(1)])

    @torch.inference_mode()
    def as_we_do() -> Tensor:
        return torch.cat([ours.embed(batch) for batch in segments.split(BATCH_SIZE)])

    torch.testing.assert_close(as_we_do(), as_published(), rtol=2e-3, atol=2e-3)
    return {"published way": as_published, "ours": as_we_do}


def step_of(model: nn.Module, *, plain: bool) -> Callable[[], Tensor]:
    """A call that updates the model once; both ways start from the same weights."""
    torch.manual_seed(0)
    criterion = NormSoftmaxLoss(model.config.embedding_dim, NUM_SPEAKERS, NormSoftmaxConfig()).apply(initialise)
    waveforms = 0.1 * torch.randn(TRAINING_BATCH, 1, NUM_SAMPLES["rawnet2"])

    def loss() -> Tensor:
        return criterion(model.embed(waveforms), torch.arange(TRAINING_BATCH))

    return training_step(nn.ModuleList([model, criterion]), loss, plain=plain)


def main() -> None:
    """Time extraction and the step, the ways in turns, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-rounds", type=int, default=5, help="of each table (default: %(default)s)")
    num_rounds = parser.parse_args().num_rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    models = {"rawnet2": RawNet2(RawNet2Config()), "rawnet3": RawNet3(RawNet3Config())}
    rows = []
    for name, num_segments in NUM_SEGMENTS.items():
        cases = extraction(name, models[name].eval())
        seconds = best_seconds(cases | matrix_products(), num_rounds)
        for case in cases:
            fraction = OPERATIONS[name] * num_segments / seconds[case] / product_rate(seconds)
            gain = seconds["published way"] / seconds[case]
            rows.append([name, case, f"{1e3 * seconds[case] / num_segments:.0f}", f"{gain:.2f}", f"{fraction:.2f}"])
    print_table(
        f"Extraction; aims: {EXTRACTION_AIM} times, {RATE_AIM} of sgemm",
        ["model", "how", "ms/segment", "times faster", "of sgemm"],
        rows,
    )
    plain, ours = published_way(models["rawnet2"]).train(), models["rawnet2"].train()
    steps = {"published way": step_of(plain, plain=True), "ours": step_of(ours, plain=False)}
    first = [step().item() for step in steps.values()]
    assert abs(first[0] - first[1]) < 1e-3, first
    seconds = best_seconds(steps, num_rounds)
    print_table(
        f"RawNet2's training step on {TRAINING_BATCH} segments; aim: {TRAINING_AIM} times",
        ["how", "s", "times faster"],
        [[case, f"{spent:.2f}", f"{seconds['published way'] / spent:.2f}"] for case, spent in seconds.items()],
    )


if __name__ == "__main__":
    main()
