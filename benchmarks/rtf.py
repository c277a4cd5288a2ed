#!/usr/bin/env python3
"""Real-time factors: processor seconds a second of audio, features and reading apart from the network.

    python benchmarks/rtf.py [--networks exu_net,campplus] [--quick]

One thread, best of several turns, every precision and runtime in one run. `of onnxruntime` is how many times faster than
ONNX Runtime in float32, which published real-time factors are of, on the layout of
the published code (WeSpeaker's, where it has the network).
"""

import argparse
from importlib.util import find_spec

import numpy as np
import torch
from common import best_seconds, print_table
from networks import SHAPES, TITLES, as_published, audio_seconds, build, networks

from sv.features import FEATURES
from sv.features.segments import SegmentConfig, compute_features

NUM_ROUNDS = 5
FRONT_ENDS = {64: "log_mel", 80: "fbank"}  # by mels
SECONDS = 8
PEER = "float32 by onnxruntime, published layout"


def front_end_factor(num_mels: int, num_rounds: int) -> float:
    """Real-time factor of the features of one utterance."""
    config, module = FEATURES[FRONT_ENDS[num_mels]]
    frontend = module(config(num_mel_bins=num_mels))
    samples = np.random.default_rng(0).normal(scale=0.1, size=SECONDS * 16_000).astype(np.float32)
    whole = SegmentConfig(scheme="whole")
    return best_seconds({"": lambda: compute_features(frontend, samples, whole)}, num_rounds)[""] / SECONDS


def rows_of(name: str, *, quick: bool) -> list[list[str]]:
    """Real-time factor of each way, and how it compares."""
    model, shape = build(name, quick=quick)
    (features,) = shape.examples()
    ready = {f"{way.precision} by {way.runtime}": network for way, network in networks(model, shape)}
    if find_spec("onnxruntime"):
        ready[PEER] = as_published(model, shape)
    num_rounds = 1 if quick else NUM_ROUNDS
    with torch.inference_mode():
        cases = {how: lambda network=network: network.embed(features) for how, network in ready.items()}
        seconds = best_seconds({how: run for how, run in cases.items() if run() is not None}, num_rounds)
    peer = seconds.get(PEER, float("nan"))
    features_factor = front_end_factor(shape.rows, num_rounds)
    return [
        [
            TITLES.get(name, name),
            how,
            f"{spent / audio_seconds(features):.4f}",
            f"{features_factor:.4f}",
            f"{peer / spent:.2f}",
        ]
        for how, spent in seconds.items()
    ]


def main() -> None:
    """Time the networks and print their real-time factors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--networks", default=",".join(SHAPES), help="some of %(default)s")
    parser.add_argument("--quick", action="store_true", help="one short segment, one turn: to see that it works")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for name in args.networks.split(",") for row in rows_of(name, quick=args.quick)]
    header = ["network", "how", "real-time factor", "features", "of onnxruntime"]
    print_table("Real-time factors, one thread", header, rows)


if __name__ == "__main__":
    main()
