#!/usr/bin/env python3
"""Embedding extraction: batches of segments of many utterances against one utterance at a time.

    python benchmarks/embedding.py [--num-threads 2]

One utterance at a time is the model as trained, in PyTorch's own memory layout; batched is what extraction runs. Batches
as trained are about what voxceleb_trainer's loop computes, which takes the ten crops of an utterance together. Last come the
other precisions and runtimes that are here, on the same batches. Rates are fractions of the machine's own float32 matrix
product rate, from the faster of torch's two libraries; Winograd's convolutions and bfloat16 exceed it.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from common import matrix_products, median_seconds, print_table, product_rate
from networks import networks
from torch import Tensor

from sv.embed.runtimes import Shape
from sv.models import MODELS
from sv.models.folding import for_inference

NUM_FRAMES = 384
NUM_UTTERANCES = 16
BATCH_SIZE = 8
RATIO_AIM, RATE_AIM = 2.0, 0.75
OURS = "batches, for inference"  # float32 by torch, which other precisions and runtimes are compared with
BEST_AIM, TORCH_AIM = 4.5, 2.0  # where the processor has AMX
MULTIPLY_ADDS = {  # of embedding one segment
    "se_resnet": 1.353e9,
    "unet": 1.353e9,
    "exu_net": 4.302e9,
    "resnet_se34v2": 6.980e9,
}


def in_batches(model: Any, features: Tensor, batch_size: int) -> Callable[[], object]:
    """A call that embeds all features, `batch_size` at a time."""

    def run() -> list[Tensor]:
        with torch.inference_mode():
            return [model.embed(batch) for batch in features.split(batch_size)]

    return run


def main() -> None:
    """Time the models in turns and print what batching gains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-threads", type=int, default=2, help="torch threads (default: %(default)s)")
    torch.set_num_threads(parser.parse_args().num_threads)
    torch.manual_seed(0)
    features = torch.randn(NUM_UTTERANCES, 64, NUM_FRAMES)
    rows = []
    for name in MULTIPLY_ADDS:
        config, model_class = MODELS[name]
        model = model_class(config()).eval()
        fast = for_inference(model)
        shape = Shape(batch_size=BATCH_SIZE, rows=features.shape[1], num_frames=NUM_FRAMES)
        _, *others = networks(model, shape)
        seconds = median_seconds(
            {
                "one at a time": in_batches(model, features, 1),
                "batches, as trained": in_batches(model, features, BATCH_SIZE),
                "one at a time, for inference": in_batches(fast, features, 1),
                OURS: in_batches(fast, features, BATCH_SIZE),
                **{f"{way.precision} by {way.runtime}": in_batches(net, features, BATCH_SIZE) for way, net in others},
                **matrix_products(),
            }
        )
        peak = product_rate(seconds)
        for case, spent in seconds.items():
            if case.startswith("sgemm"):
                continue
            rate = 2 * MULTIPLY_ADDS[name] * NUM_UTTERANCES / spent
            gain, over = seconds["one at a time"] / spent, seconds[OURS] / spent
            spent = f"{1e3 * spent / NUM_UTTERANCES:.1f}"
            rows.append([name, case, spent, f"{gain:.2f}", f"{over:.2f}", f"{rate / peak:.2f}"])
    print_table(
        f"Embedding {NUM_UTTERANCES} segments of {NUM_FRAMES} frames; batches of {BATCH_SIZE}; "
        f"aims (ExU-Net): {RATIO_AIM} times, {RATE_AIM} of sgemm; on AMX {BEST_AIM} of our float32, {TORCH_AIM} by torch",
        ["model", "how", "ms/segment", "times faster", "of our float32", "of sgemm"],
        rows,
    )


if __name__ == "__main__":
    main()
