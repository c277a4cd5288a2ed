#!/usr/bin/env python3
"""A training step of ExU-Net: ours against the plain layout that the published code trains in.

    python benchmarks/train_step.py [--num-threads 2]

Plain: contiguous maps, and Adam as PyTorch picks it for the machine. Ours: channels-last, Adam as our loop has it. Both:
AMSGrad with coupled weight decay, softmax, feature regression and angular prototypical loss on clean/noisy pairs. Last ours
in bf16, which pays on a processor with instructions for it.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import median_seconds, print_table, training_step
from torch import Tensor, nn

from sv.losses import AngularPrototypical, SoftmaxLoss
from sv.models import MODELS
from sv.models.precision import autocast

SYSTEMS = ("se_resnet", "unet", "exu_net")  # that train on these pairs
NUM_PAIRS = 4
NUM_FRAMES = 256
NUM_SPEAKERS = 1211
AIM, BF16_AIM = 1.3, 1.6  # the second on AMX, over our float32


def step_of(name: str, *, plain: bool = False, precision: str = "float32") -> Callable[[], Tensor]:
    """A call that updates a new model once on one batch of pairs."""
    torch.manual_seed(0)
    config, model_class = MODELS[name]
    model = model_class(config()).to(memory_format=torch.contiguous_format if plain else torch.channels_last)
    classification, prototypical = SoftmaxLoss(config().embedding_dim, NUM_SPEAKERS), AngularPrototypical()
    features, references = torch.randn(2, 2 * NUM_PAIRS, 64, NUM_FRAMES)
    speaker_ids = torch.arange(NUM_PAIRS).repeat(2)

    def loss() -> Tensor:
        with autocast("cpu", precision):
            embedding, enhanced = model(features)
        embedding, enhanced = embedding.float(), None if enhanced is None else enhanced.float()
        loss = classification(embedding, speaker_ids) + prototypical(embedding[NUM_PAIRS:], embedding[:NUM_PAIRS])
        return loss if enhanced is None else loss + F.mse_loss(enhanced, references)

    return training_step(nn.ModuleList([model, classification, prototypical]), loss, plain=plain)


def main() -> None:
    """Time the steps in turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-threads", type=int, default=2, help="torch threads (default: %(default)s)")
    torch.set_num_threads(parser.parse_args().num_threads)
    rows = []
    for name in SYSTEMS:
        cases = {"plain": step_of(name, plain=True), "ours": step_of(name), "bf16": step_of(name, precision="bf16")}
        plain, ours, bf16 = median_seconds(cases, num_rounds=9).values()
        rows.append(
            [name, *(f"{spent:.3f}" for spent in (plain, ours, bf16)), f"{plain / ours:.2f}", f"{ours / bf16:.2f}"]
        )
    print_table(
        f"One step on {2 * NUM_PAIRS} spectrograms of {NUM_FRAMES} frames; aims: {AIM} times (ExU-Net), {BF16_AIM} by bf16 on AMX",
        ["model", "plain s", "ours s", "ours, bf16 s", "times faster", "bf16 over ours"],
        rows,
    )


if __name__ == "__main__":
    main()
