#!/usr/bin/env python3
"""Worth of SEED's sampling: where noise is added, steps, draws, and the spread over seeds, on one trained enhancement.

    python benchmarks/embedding_sampling.py --model exp/embedding_seed --embeddings exp/exu_net/embeddings \\
        --seeds 0,1,2,3,4 data/voxceleb1_test data/voxceleb1_test-babble-snr5

Every choice enhances the embeddings of every set anew and scores its trials by the cosine; an error rate under several
seeds is their mean, and behind it their standard deviation. The first row is of the embeddings as they are.
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

import torch
from common import print_table

from sv.enhancement.apply import check_dim, enhance
from sv.enhancement.archive import EmbeddingArchive
from sv.enhancement.validation import eer_percent
from sv.kaldi import read_trials
from sv.models.embedding_diffusion import EmbeddingSamplingConfig
from sv.system.folder import load_model

CHOICES = "50/1/draw 50/1/zero 50/1/draw/4 20/1/draw 200/1/draw 500/1/draw 50/5/draw 980/50/draw"


def parse_choice(text: str) -> EmbeddingSamplingConfig:
    """noise_step/num_steps/start, or noise_step/num_steps/start/draws."""
    step, steps, start, *draws = text.split("/")
    return EmbeddingSamplingConfig(
        noise_step=int(step), num_steps=int(steps), start=start, num_draws=int(*draws or [1])
    )


def cell(values: list[float]) -> str:
    """Mean and, of several, standard deviation."""
    return f"{statistics.mean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "")


def main() -> None:
    """Parse the command line; enhance, score and print one row per choice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="model folder of conf/embedding_seed.toml")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of the extractor's embeddings")
    parser.add_argument("--choices", default=CHOICES, help="step/steps/start[/draws] each (default: %(default)s)")
    parser.add_argument("--seeds", default="0", help="of the draws, separated by commas")
    parser.add_argument("--num-threads", type=int, default=1, help="torch threads (default: %(default)s)")
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    args = parser.parse_args()
    torch.set_num_threads(args.num_threads)
    system, frontend, model = load_model(args.model)
    sets = {}
    for path in args.data_dirs:
        archive = EmbeddingArchive(args.embeddings / path.name / "segments.scp")
        check_dim(system, archive.dim, str(args.model))
        sets[path.name] = archive, archive.rows(range(len(archive))), read_trials(path / "trials")
    rows = [["none", *(f"{eer_percent(trials, archive, vectors):.2f}" for archive, vectors, trials in sets.values())]]
    for choice in map(parse_choice, args.choices.split()):
        seeds = map(int, args.seeds.split(",")) if choice.start == "draw" else [0]
        found = []
        for seed in seeds:
            model.config = replace(model.config, sampling=replace(choice, seed=seed))
            found.append([eer_percent(t, a, enhance(frontend, model, v)) for a, v, t in sets.values()])
        draws = f", {choice.num_draws} draws" if choice.num_draws > 1 else ""
        name = f"{choice.noise_step}, {choice.num_steps}, {choice.start}{draws}"
        rows.append([name, *(cell(list(column)) for column in zip(*found, strict=True))])
    print_table(f"{args.model.name}: EER % by cosine", ["noise step, steps, start", *sets], rows)


if __name__ == "__main__":
    main()
