#!/usr/bin/env python3
"""Extraction and training steps by precision and runtime: ratios to float32 by torch, in one run.

    python benchmarks/precision.py [--networks exu_net,campplus] [--quick]

Processor seconds on one thread, the best of several turns. Cosines are to float32 by torch, of random weights, which amplify
rounding in deep networks more than trained ones do: judge by the EER of a trained system.
"""

import argparse
from collections.abc import Callable

import torch
from common import best_seconds, print_table, training_step
from networks import SHAPES, TITLES, build, networks
from torch import Tensor, nn

from sv.losses import SoftmaxLoss
from sv.models.precision import autocast

NUM_SPEAKERS = 1211
NUM_ROUNDS = 5


def extraction_rows(name: str, *, quick: bool) -> list[list[str]]:
    """Seconds, ratio and cosine of each way to embed one batch."""
    model, shape = build(name, quick=quick)
    (features,) = shape.examples()
    ready = {f"{way.precision} by {way.runtime}": network for way, network in networks(model, shape)}
    with torch.inference_mode():
        found = {how: network.embed(features).float() for how, network in ready.items()}
        cases = {how: lambda network=network: network.embed(features) for how, network in ready.items()}
        seconds = best_seconds(cases, 1 if quick else NUM_ROUNDS)
    first = next(iter(seconds))
    return [
        [
            TITLES.get(name, name),
            how,
            f"{spent:.3f}",
            f"{seconds[first] / spent:.2f}",
            f"{float(torch.cosine_similarity(found[how], found[first]).min()):.4f}",
        ]
        for how, spent in seconds.items()
    ]


def step_of(name: str, precision: str, *, quick: bool) -> Callable[[], Tensor]:
    """A call that updates a new model once on one batch, classifying speakers."""
    model, shape = build(name, quick=quick)
    model.train().to(memory_format=torch.channels_last)
    classifier = SoftmaxLoss(model.config.embedding_dim, NUM_SPEAKERS)
    features = torch.randn(max(2, shape.batch_size), shape.rows, min(256, shape.num_frames))
    speaker_ids = torch.arange(len(features))

    def loss() -> Tensor:
        with autocast("cpu", precision):
            embeddings = model.embed(features)
        return classifier(embeddings.float(), speaker_ids)

    return training_step(nn.ModuleList([model, classifier]), loss, plain=False)


def training_rows(name: str, *, quick: bool) -> list[list[str]]:
    """Seconds and ratio of a training step in each precision."""
    cases = {precision: step_of(name, precision, quick=quick) for precision in ("float32", "bf16")}
    for run in cases.values():
        run()
    seconds = best_seconds(cases, 1 if quick else 3)
    return [
        [TITLES.get(name, name), how, f"{spent:.3f}", f"{seconds['float32'] / spent:.2f}"]
        for how, spent in seconds.items()
    ]


def main() -> None:
    """Time the networks and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--networks", default=",".join(SHAPES), help="some of %(default)s")
    parser.add_argument("--quick", action="store_true", help="one short segment, one turn: to see that it works")
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = args.networks.split(",")
    rows = [row for name in names for row in extraction_rows(name, quick=args.quick)]
    print_table("Extraction of a batch, one thread", ["network", "how", "s", "times faster", "cosine"], rows)
    rows = [row for name in names for row in training_rows(name, quick=args.quick)]
    print_table("Training step, one thread", ["network", "precision", "s", "times faster"], rows)


if __name__ == "__main__":
    main()
