#!/usr/bin/env python3
"""The RawNets' extraction and training step: ours against the published way.

    python benchmarks/rawnet.py [--num-threads 1] [--num-rounds 5] [--num-segments 8]

The published RawNet2 embeds one segment at a time, RawNet3 an utterance's ten at once; filters are synthesised for each
pass, filtered at every sample, then pooled; no normalisation is folded. Ours is what extraction and training run. Both
give the same embeddings and losses, which is checked. Rates are fractions of the machine's own float32 matrix product
rate; as operations count those of the published way, so that a fraction above 1 says that some are saved.
"""

import argparse
import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import matrix_products, median_seconds, print_table, product_rate
from torch import Tensor, nn

from sv.losses import NormSoftmaxLoss
from sv.models.folding import for_inference
from sv.models.rawnet2 import RawNet2, RawNet2Config
from sv.models.rawnet3 import ContextAttention, RawNet3, RawNet3Config, Res2Block
from sv.models.sincnet import SincFilters

NUM_SAMPLES = {"rawnet2": 59_049, "rawnet3": 64_000}
BATCH_SIZE = 16  # of RawNet2's segments, from many utterances
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


def published_way(model: nn.Module) -> nn.Module:
    """A copy of the model that computes as the published code does."""
    model = copy.deepcopy(model)
    for name, child in list(model.named_children()):
        if type(child) in PUBLISHED:
            setattr(model, name, PUBLISHED[type(child)](child))
    return model


def at_once(model: RawNet3, waveforms: Tensor) -> Tensor:
    """Embed all segments in one pass."""
    return model.fc6(model.bn5(model.pool(model.encode(model.front_end(waveforms[:, 0])))))


def extraction(name: str, model: nn.Module, num_segments: int) -> dict[str, Callable[[], Tensor]]:
    """Calls that embed the same segments, the published way and ours."""
    segments = 0.1 * torch.randn(num_segments, 1, NUM_SAMPLES[name])
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


def training_step(model: nn.Module, *, foreach: bool) -> Callable[[], Tensor]:
    """A call that updates the model once; both ways start from the same weights."""
    criterion = NormSoftmaxLoss(model.config.embedding_dim, NUM_SPEAKERS)
    nn.init.normal_(criterion.classifier.weight, std=0.01, generator=torch.Generator().manual_seed(0))
    nn.init.zeros_(criterion.classifier.bias)
    parameters = [*model.parameters(), *criterion.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-4, weight_decay=1e-4, amsgrad=True, foreach=foreach)
    waveforms = 0.1 * torch.randn(TRAINING_BATCH, 1, 59_049, generator=torch.Generator().manual_seed(0))

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(model.embed(waveforms), torch.arange(TRAINING_BATCH))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def main() -> None:
    """Time extraction and the step, the ways in turns, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-threads", type=int, default=1, help="torch threads (default: %(default)s)")
    parser.add_argument("--num-rounds", type=int, default=5, help="of each table (default: %(default)s)")
    parser.add_argument("--num-segments", type=int, default=2 * BATCH_SIZE, help="of RawNet2 (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.num_threads)
    torch.manual_seed(0)
    models = {"rawnet2": RawNet2(RawNet2Config()), "rawnet3": RawNet3(RawNet3Config())}
    rows = []
    for name, num_segments in (("rawnet2", args.num_segments), ("rawnet3", 10)):
        cases = extraction(name, models[name].eval(), num_segments)
        seconds = median_seconds(cases | matrix_products(), args.num_rounds)
        for case in cases:
            fraction = OPERATIONS[name] * num_segments / seconds[case] / product_rate(seconds)
            gain = seconds["published way"] / seconds[case]
            rows.append([name, case, f"{1e3 * seconds[case] / num_segments:.0f}", f"{gain:.2f}", f"{fraction:.2f}"])
    print_table(
        f"Extraction, {args.num_threads} threads; aims: {EXTRACTION_AIM} times, {RATE_AIM} of sgemm",
        ["model", "how", "ms/segment", "times faster", "of sgemm"],
        rows,
    )
    plain, ours = published_way(models["rawnet2"]).train(), models["rawnet2"].train()
    steps = {"published way": training_step(plain, foreach=False), "ours": training_step(ours, foreach=True)}
    first = [step().item() for step in steps.values()]
    assert abs(first[0] - first[1]) < 1e-3, first
    seconds = median_seconds(steps, args.num_rounds)
    print_table(
        f"RawNet2's training step on {TRAINING_BATCH} segments; aim: {TRAINING_AIM} times",
        ["how", "s", "times faster"],
        [[case, f"{spent:.2f}", f"{seconds['published way'] / spent:.2f}"] for case, spent in seconds.items()],
    )


if __name__ == "__main__":
    main()
