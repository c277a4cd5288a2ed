#!/usr/bin/env python3
"""Training an enhancement from an archive on the disk: what reading adds to the step, and what is held in memory.

    python benchmarks/enhancement.py [--num-embeddings 1000000] [--dim 512] [--steps 10] [--dir /tmp]

Writes an archive of random embeddings (4 x dim bytes each) and its list, and removes them. A step is one of MyLinearNetv3
and v2 on 1000 embeddings; "held" is the same step on a batch that is in memory already.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import median_seconds, print_table

from sv.data.sampler import ShuffledConfig, ShuffledSampler
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.batches import EnhancementSet
from sv.enhancement.lists import write_list
from sv.features.embedding import EmbeddingConfig, EmbeddingInput
from sv.kaldi import open_ark_scp
from sv.models.embedding_mlp import PUBLISHED, EmbeddingMLP, EmbeddingMLPConfig
from sv.train.steps.enhancement import EnhancementConfig, EnhancementStep

BATCH_SIZE = 1000
UTTERANCES_PER_SPEAKER = 180  # VoxCeleb2's


def write_corpus(folder: Path, num_embeddings: int, dim: int) -> tuple[Path, Path]:
    """Random embeddings, and the normal list that names them."""
    rng, lines = np.random.default_rng(0), []
    with open_ark_scp(folder / "x.ark", folder / "x.scp") as write:
        for number in range(num_embeddings):
            speaker = f"id{number // UTTERANCES_PER_SPEAKER:05d}"
            write(f"{speaker}-s-{number:07d}", rng.standard_normal(dim, np.float32))
            lines.append((speaker, f"{speaker}-s-{number:07d}"))
    write_list(folder / "list.txt", lines)
    return folder / "x.scp", folder / "list.txt"


def peak_gb() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-embeddings", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--num-threads", type=int, default=1)
    parser.add_argument("--dir", type=Path, help="where the archive is written for the time being")
    args = parser.parse_args()
    torch.set_num_threads(args.num_threads)
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        scp, listed = write_corpus(Path(folder), args.num_embeddings, args.dim)
        started, before = time.perf_counter(), peak_gb()
        dataset = EnhancementSet(listed, "normal", [EmbeddingArchive(scp)])
        print(f"{len(dataset)} embeddings: list, index and targets in {time.perf_counter() - started:.1f} s")
        plan = ShuffledSampler(dataset.speaker_ids, ShuffledConfig(batch_size=BATCH_SIZE), seed=0).epoch(0)
        numbers = iter(range(10**9))
        held, rows = dataset.batch(plan[0]), []
        for version in ("v3", "v2"):
            model = EmbeddingMLP(EmbeddingMLPConfig(embedding_dim=args.dim, **PUBLISHED[version]))
            step = EnhancementStep(EmbeddingInput(EmbeddingConfig()), model, EnhancementConfig(), 1)
            optimizer = torch.optim.Adam(step.parameters(), foreach=True)

            def update(batch, step=step, optimizer=optimizer) -> None:
                optimizer.zero_grad(set_to_none=True)
                step(batch)["loss"].backward()
                optimizer.step()

            cases = {
                "held": lambda update=update: update(held),
                "streamed": lambda update=update: update(dataset.batch(plan[next(numbers) % len(plan)])),
                "reading": lambda: dataset.batch(plan[next(numbers) % len(plan)]),
            }
            seconds = median_seconds(cases, args.steps)
            ratio = seconds["streamed"] / seconds["held"]
            epoch = len(plan) * seconds["streamed"]
            rows.append([version, *(f"{1000 * seconds[name]:.0f}" for name in cases), f"{ratio:.2f}", f"{epoch:.0f}"])
        header = ["model", "held ms", "streamed ms", "reading ms", "streamed / held", "epoch s"]
        print_table(f"a step of {BATCH_SIZE} embeddings of {args.dim} dimensions", header, rows)
        size = 4e-9 * args.num_embeddings * args.dim
        print(f"peak memory {peak_gb():.2f} GB, {before:.2f} GB before reading; the archive is {size:.2f} GB")


if __name__ == "__main__":
    main()
