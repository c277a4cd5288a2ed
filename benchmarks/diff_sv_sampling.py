#!/usr/bin/env python3
"""Cost and worth of Diff-SV's sampling: steps, solver and start, on one trained model.

    python benchmarks/diff_sv_sampling.py --model exp/diff_sv --feats exp/feats/log_mel-0ac863 data/voxceleb1_test ...

Every choice embeds the stored features of every set anew and scores its trials by the cosine. Cost is processor time a
segment, all threads together, the model's other parts included; an error rate under several seeds is their mean, and
behind it their standard deviation.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import print_table

from sv.embed.embedder import Embedder, utterance_embedding
from sv.embed.inputs import set_features
from sv.features.segments import frames_per_segment
from sv.kaldi import Trials, read_trials
from sv.kaldi.scp import read_utt2spk
from sv.models.diff_sv import SamplingConfig
from sv.scoring import compute_eer, score_cosine
from sv.system.folder import load_model

CHOICES = (
    "10/euler/draw 5/euler/draw 2/euler/draw 1/euler/draw 10/exponential/draw 5/exponential/draw 2/exponential/draw"
    " 10/euler/zero 2/euler/zero 2/euler/draw/4"
)


def parse_choice(text: str) -> SamplingConfig:
    """steps/solver/start, or steps/solver/start/draws."""
    steps, solver, start, *draws = text.split("/")
    return SamplingConfig(num_steps=int(steps), solver=solver, start=start, num_draws=int(*draws or [1]))


def eers(embedder: Embedder, sets: dict[str, list], trials: dict[str, Trials], unit: bool) -> Iterator[float]:
    """EER in percent on each set."""
    for name, features in sets.items():
        vectors = {utt: utterance_embedding(segments, unit) for utt, segments in embedder(features)}
        yield 100 * compute_eer(score_cosine(trials[name], vectors), trials[name].is_target)


def main() -> None:
    """Parse the command line; embed, score and print one row per choice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--feats", type=Path, required=True, help="folder of stored features, of stage 3")
    parser.add_argument("--choices", default=CHOICES, help="steps/solver/start[/draws] each (default: %(default)s)")
    parser.add_argument("--seeds", default="0", help="of the draws, separated by commas")
    parser.add_argument("--num-threads", type=int, default=1, help="torch threads (default: %(default)s)")
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR")
    args = parser.parse_args()
    torch.set_num_threads(args.num_threads)
    system, frontend, model = load_model(args.model)
    num_frames = frames_per_segment(frontend, system.extract)
    sets = {
        path.name: list(set_features(system, frontend, path, args.feats, list(read_utt2spk(path / "utt2spk"))))
        for path in args.data_dirs
    }
    trials = {path.name: read_trials(path / "trials") for path in args.data_dirs}
    num_segments = sum(len(matrix) // num_frames for features in sets.values() for _, matrix in features)
    rows = []
    for choice in map(parse_choice, args.choices.split()):
        found, started = [], time.process_time()
        for seed in map(int, args.seeds.split(",")) if choice.start == "draw" else [0]:
            model.config = replace(model.config, sampling=replace(choice, seed=seed))
            embedder = Embedder(model, num_frames, system.extract.batch_size)
            found.append(list(eers(embedder, sets, trials, system.extract.unit_segments)))
        cost = 1000 * (time.process_time() - started) / len(found) / num_segments
        means = [*np.mean(found, axis=0), np.mean(found)]
        spread = [statistics.stdev(column) if len(found) > 1 else None for column in zip(*found, strict=True)]
        cells = [f"{mean:.2f}" + (f" ± {s:.2f}" if s is not None else "") for mean, s in zip(means, [*spread, None])]
        draws = f", {choice.num_draws} draws" if choice.num_draws > 1 else ""
        rows.append([f"{choice.num_steps} {choice.solver}, {choice.start}{draws}", f"{cost:.0f}", *cells])
    print_table(
        f"{args.model.name}: EER % by cosine, {num_segments} segments of {num_frames} frames",
        ["steps, solver, start", "ms/segment", *sets, "mean"],
        rows,
    )


if __name__ == "__main__":
    main()
