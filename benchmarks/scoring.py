#!/usr/bin/env python3
"""Cosine and PLDA scoring of a long trial list, all at once, against loops over its trials.

    python benchmarks/scoring.py [--num-trials 1000000] [--num-loop-trials 20000]

The loops run on a share of the trials, and their time is scaled up. `published code` is what the scoring of the
published systems does for each trial: two tensors from the table, one distance, one number back. PLDA's loop has its vectors
projected before, as Kaldi does, and computes Kaldi's ratio for each trial.
"""

import argparse
import importlib.util
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from common import print_table
from scipy.spatial.distance import cosine

from sv.kaldi import Trials
from sv.scoring import (
    Plda,
    compute_eer,
    compute_min_dcf,
    eer_interval,
    neg_mean_l2,
    score_cosine,
)
from sv.scoring.backends import PldaBackEnd
from sv.scoring.plda import project

NUM_UTTERANCES, NUM_SPEAKERS, DIM = 4708, 40, 192
NUM_SEGMENTS = 2
AIM = 100


def make_trials(num_trials: int) -> tuple[Trials, dict[str, np.ndarray]]:
    """Random trials between as many utterances as VoxCeleb1's test set has, and their embeddings."""
    rng = np.random.default_rng(0)
    names = [f"id{10270 + i % NUM_SPEAKERS}-5r0dWxy17C8-{i:05d}" for i in range(NUM_UTTERANCES)]
    centres = rng.normal(size=(NUM_SPEAKERS, DIM))
    vectors = {
        name: (centres[i % NUM_SPEAKERS] + 2 * rng.normal(size=DIM)).astype(np.float32) for i, name in enumerate(names)
    }
    left, right = rng.integers(NUM_UTTERANCES, size=(2, num_trials))
    is_target = left % NUM_SPEAKERS == right % NUM_SPEAKERS
    return Trials([names[i] for i in left], [names[i] for i in right], is_target), vectors


def numpy_loop(trials: Trials, vectors: dict[str, np.ndarray]) -> np.ndarray:
    """One dot product and two norms a trial."""
    pairs = ((vectors[a], vectors[b]) for a, b in zip(trials.enrolment, trials.test))
    return np.array([np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in pairs])


def scipy_loop(trials: Trials, vectors: dict[str, np.ndarray]) -> np.ndarray:
    """One call of SciPy's cosine distance a trial."""
    return np.array([1 - cosine(vectors[a], vectors[b]) for a, b in zip(trials.enrolment, trials.test)])


def tensor_loop(trials: Trials, vectors: dict[str, np.ndarray]) -> np.ndarray:
    """One call of torch's cosine similarity a trial."""
    tensors = {name: torch.from_numpy(vector)[None] for name, vector in vectors.items()}
    pairs = zip(trials.enrolment, trials.test)
    return np.array([F.cosine_similarity(tensors[a], tensors[b]).item() for a, b in pairs])


def wespeaker_loop(trials: Trials, vectors: dict[str, np.ndarray]) -> np.ndarray:
    """One call of scikit-learn's cosine similarity a trial, as WeSpeaker's scoring makes it."""
    from sklearn.metrics.pairwise import cosine_similarity

    rows = {name: vector[None] for name, vector in vectors.items()}
    return np.array([cosine_similarity(rows[a], rows[b])[0, 0] for a, b in zip(trials.enrolment, trials.test)])


def published_loop(trials: Trials, segments: dict[str, np.ndarray]) -> np.ndarray:
    """Negative mean distance over all pairs of segments, a trial at a time."""
    units = {name: F.normalize(torch.from_numpy(rows)) for name, rows in segments.items()}
    scores = []
    for a, b in zip(trials.enrolment, trials.test):
        left, right = units[a].unsqueeze(1), units[b].unsqueeze(0)
        distances = F.pairwise_distance(
            left.expand(-1, right.shape[1], -1).reshape(-1, DIM), right.expand(left.shape[0], -1, -1).reshape(-1, DIM)
        )
        scores.append(-distances.mean().item())
    return np.array(scores)


def make_backend() -> PldaBackEnd:
    """A back end that keeps all dimensions, of random numbers."""
    rng = np.random.default_rng(1)
    lda, transform = rng.normal(size=(2, DIM, DIM)) / np.sqrt(DIM)
    plda = Plda(np.zeros(DIM), transform, np.sort(rng.gamma(1.0, size=DIM))[::-1])
    return PldaBackEnd(np.zeros(DIM), lda, plda)


def score_plda(trials: Trials, vectors: dict[str, np.ndarray]) -> np.ndarray:
    """PLDA, ours, from embeddings on."""
    return make_backend().score(trials, vectors)


def kaldi_loop(trials: Trials, vectors: dict[str, np.ndarray]) -> np.ndarray:
    """Vectors projected once, then Kaldi's log-likelihood ratio, a trial at a time."""
    backend = make_backend()
    plda, names = backend.plda, list(vectors)
    projected = dict(zip(names, project(plda, backend.preprocess(np.stack(list(vectors.values())), names))))
    gain, variance, total = plda.psi / (plda.psi + 1), 1 + plda.psi / (plda.psi + 1), 1 + plda.psi
    constant = np.log(total).sum() - np.log(variance).sum()
    scores = []
    for a, b in zip(trials.enrolment, trials.test):
        enrolled, tested = projected[a], projected[b]
        given = ((tested - gain * enrolled) ** 2 / variance).sum()
        scores.append(0.5 * (constant + (tested**2 / total).sum() - given))
    return np.array(scores)


def seconds(run: Callable[[], object], rounds: int = 3) -> tuple[float, object]:
    """Least wall seconds of some rounds, and the result."""
    spent = []
    for _ in range(rounds):
        started = time.perf_counter()
        result = run()
        spent.append(time.perf_counter() - started)
    return min(spent), result


def main() -> None:
    """Time each way and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-trials", type=int, default=1_000_000)
    parser.add_argument("--num-loop-trials", type=int, default=20_000)
    args = parser.parse_args()
    trials, vectors = make_trials(args.num_trials)
    some = Trials(trials.enrolment[: args.num_loop_trials], trials.test[: args.num_loop_trials], trials.is_target)
    scale = len(trials) / len(some)
    segments = {name: np.stack([vector, vector[::-1]][:NUM_SEGMENTS]) for name, vector in vectors.items()}
    rows = []
    cosine_loops = {
        "NumPy, a trial at a time": numpy_loop,
        "SciPy, a trial at a time": scipy_loop,
        "torch, a trial at a time": tensor_loop,
    }
    if importlib.util.find_spec("sklearn") is not None:
        cosine_loops["WeSpeaker (scikit-learn), a trial at a time"] = wespeaker_loop
    for ours, own, loops in (
        (score_cosine, vectors, cosine_loops),
        (score_plda, vectors, {"as Kaldi: a pass over vectors, one over trials": kaldi_loop}),
        (neg_mean_l2, segments, {"published code, a trial at a time": published_loop}),
    ):
        spent, scores = seconds(lambda ours=ours, own=own: ours(trials, own))
        rows.append([f"{ours.__name__}, ours", f"{spent:.2f}", "1", ""])
        for name, loop in loops.items():
            looped, reference = seconds(lambda loop=loop, own=own: loop(some, own), rounds=1)
            difference = np.abs(reference - scores[: len(some)]).max()
            rows.append([f"  {name}", f"{scale * looped:.1f}", f"{scale * looped / spent:.0f}", f"{difference:.0e}"])
    rows_title = f"Scores of {len(trials)} trials; aim: {AIM} times faster than a loop"
    print_table(rows_title, ["how", "seconds", "ratio", "largest difference"], rows)

    scores = score_cosine(trials, vectors)
    speakers = tuple(np.array([int(utt[2:7]) - 10270 for utt in side]) for side in (trials.enrolment, trials.test))
    runs = {
        "compute_eer": lambda: compute_eer(scores, trials.is_target),
        "compute_min_dcf": lambda: compute_min_dcf(scores, trials.is_target),
        "eer_interval, 1000 replicates": lambda: eer_interval(
            scores, trials.is_target, speakers, np.random.default_rng(0)
        ),
    }
    table = [[name, f"{seconds(run, rounds=1)[0]:.2f}"] for name, run in runs.items()]
    print_table(f"Error rates of {len(trials)} trials", ["what", "seconds"], table)
    print(
        f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, torch and the trials included"
    )


if __name__ == "__main__":
    main()
