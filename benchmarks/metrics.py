#!/usr/bin/env python3
"""Error rates of long score lists: ours against scikit-learn's ROC curve and a loop over thresholds.

    python benchmarks/metrics.py [--num-trials 10000000]

Each way runs in a process of its own, so that its peak memory can be told. scikit-learn is left out where it is not
installed; it is not a dependency of this project.
"""

import argparse
import importlib.util
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from common import print_table

from sv.scoring import OperatingPoint, ScoreRuns, compute_eer, eer_interval, summarise

NUM_SPEAKERS = 1000
LOOP_THRESHOLDS = 100  # of as many as there are scores; the loop's time is scaled up


def make_scores(num_trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of unit Gaussians 3 apart, a tenth of them targets."""
    rng = np.random.default_rng(0)
    is_target = rng.random(num_trials) < 0.1
    return rng.normal(size=num_trials) + 3 * is_target, is_target


def ours(scores: np.ndarray, is_target: np.ndarray) -> float:
    """One sort, exact."""
    return compute_eer(scores, is_target)


def ours_from_disk(scores: np.ndarray, is_target: np.ndarray) -> float:
    """EER, minDCF, actDCF, Cllr and minCllr, from sorted runs on disk."""
    with tempfile.TemporaryDirectory() as folder:
        runs = ScoreRuns(Path(folder))
        runs.add(scores, is_target)
        return summarise(runs.blocks(), runs.num_target, runs.num_nontarget, [OperatingPoint(0.01)]).eer


def ours_with_interval(scores: np.ndarray, is_target: np.ndarray) -> float:
    """The interval by 1000 replicates over speakers."""
    rng = np.random.default_rng(1)
    left, right = rng.integers(NUM_SPEAKERS, size=(2, len(scores)))
    return eer_interval(scores, is_target, (left, np.where(is_target, left, right)), rng)[0]


def scikit_learn(scores: np.ndarray, is_target: np.ndarray) -> float:
    """The usual recipe: roc_curve, then the point where both rates are nearest."""
    from sklearn.metrics import roc_curve

    p_fa, p_hit, _ = roc_curve(is_target, scores)
    nearest = np.argmin(np.abs(1 - p_hit - p_fa))
    return float((1 - p_hit[nearest] + p_fa[nearest]) / 2)


def threshold_loop(scores: np.ndarray, is_target: np.ndarray) -> float:
    """Both rates anew at each threshold; at some of them."""
    targets, nontargets = scores[is_target], scores[~is_target]
    rates = [
        ((targets < t).mean(), (nontargets >= t).mean())
        for t in np.quantile(scores, np.linspace(0, 1, LOOP_THRESHOLDS))
    ]
    return float(np.mean(min(rates, key=lambda pair: abs(pair[0] - pair[1]))))


def measure(way: str, num_trials: int) -> tuple[float, float, float]:
    """Run one way; its EER, seconds and MiB beyond those of the scores."""
    scores, is_target = make_scores(num_trials)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    eer = globals()[way](scores, is_target)
    spent = time.perf_counter() - started
    return eer, spent, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Time each way and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--num-trials", type=int, default=10_000_000)
    args = parser.parse_args()
    ways = ["ours", "ours_from_disk", "ours_with_interval", "scikit_learn", "threshold_loop"]
    if importlib.util.find_spec("sklearn") is None:
        ways.remove("scikit_learn")
    rows, reference = [], None
    for way in ways:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            eer, seconds, memory = pool.submit(measure, way, args.num_trials).result()
        if way == "threshold_loop":
            seconds *= args.num_trials / LOOP_THRESHOLDS
        reference = reference or seconds
        rows.append(
            [way.replace("_", " "), f"{100 * eer:.4f}", f"{seconds:.2f}", f"{seconds / reference:.1f}", f"{memory:.0f}"]
        )
    print_table(f"EER of {args.num_trials} trials", ["how", "EER %", "seconds", "ratio", "MiB"], rows)


if __name__ == "__main__":
    main()
