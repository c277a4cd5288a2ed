#!/usr/bin/env python3
"""Hold some speakers of a data directory out for validation, and make trials of them.

    local/split_validation.py --fraction 0.04 data/voxceleb1_dev data/voxceleb1_train data/voxceleb1_valid

A speaker's place in the draw is a hash of (seed, speaker): another speaker in the corpus moves no one else. Speakers with
a single utterance stay in training, since no target trial could be made of them.
"""

import argparse
import itertools
import math
import sys
from pathlib import Path

import numpy as np

from sv.base.numbers import PROBABILITY, SEED
from sv.base.seeding import derive_seed, generator
from sv.data.manifests import write_manifests
from sv.kaldi.data_dir import subset_data_dir
from sv.kaldi.scp import DataDirError, byte_order, invert, read_table, read_utt2spk
from sv.kaldi.trials import Trials, write_trials

MAX_TARGETS = 10_000


def video_of(utterance: str) -> str:
    """Session of an utterance: its id without the last part."""
    return utterance.rpartition("-")[0]


def held_out_speakers(spk2utt: dict[str, list[str]], count: int, seed: int) -> set[str]:
    """The `count` speakers with two utterances or more whose keyed hashes come first."""
    candidates = [speaker for speaker, utts in spk2utt.items() if len(utts) > 1]
    if not 0 < count < len(candidates):
        raise DataDirError(f"cannot hold {count} of {len(candidates)} speakers with two utterances or more out")
    return set(sorted(candidates, key=lambda speaker: derive_seed(seed, "valid", speaker))[:count])


def target_pairs(spk2utt: dict[str, list[str]], sessions: dict[str, str]) -> list[tuple[str, str]]:
    """Pairs of one speaker's utterances: from different sessions, if any speaker has two."""
    session = sessions.__getitem__ if sessions else video_of
    pairs = [pair for utts in spk2utt.values() for pair in itertools.combinations(utts, 2)]
    across = [pair for pair in pairs if session(pair[0]) != session(pair[1])]
    return across or pairs


def nontarget_pairs(
    utt2spk: dict[str, str], genders: dict[str, str], count: int, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """Up to `count` different pairs of two speakers' utterances, of one gender where that is known."""
    utts, pairs = sorted(utt2spk, key=byte_order), {}
    for _ in range(50 * count):
        first, second = (utts[i] for i in np.sort(rng.integers(len(utts), size=2)))
        speakers = utt2spk[first], utt2spk[second]
        if speakers[0] != speakers[1] and genders.get(speakers[0]) == genders.get(speakers[1]):
            pairs[first, second] = None
        if len(pairs) == count:
            break
    return list(pairs)


def validation_trials(
    utt2spk: dict[str, str], genders: dict[str, str], seed: int, sessions: dict[str, str] | None = None
) -> Trials:
    """Target trials across sessions (of the ids, unless given), at most `MAX_TARGETS`, and three times as many nontarget ones."""
    rng = generator(seed, "valid-trials")
    targets = target_pairs(invert(utt2spk), sessions or {})
    if len(targets) > MAX_TARGETS:
        targets = [targets[i] for i in np.sort(rng.choice(len(targets), MAX_TARGETS, replace=False))]
    count = 3 * len(targets)
    nontargets = nontarget_pairs(utt2spk, genders, count, rng) or nontarget_pairs(utt2spk, {}, count, rng)
    pairs = targets + nontargets
    labels = np.arange(len(pairs)) < len(targets)
    return Trials([first for first, _ in pairs], [second for _, second in pairs], labels)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument(
        "--fraction", type=PROBABILITY, default=0.04, help="of the speakers to hold out, at least two (%(default)s)"
    )
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("source", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    args = parser.parse_args(argv)
    try:
        utt2spk = read_utt2spk(args.source / "utt2spk")
        spk2utt = invert(utt2spk)
        held_out = held_out_speakers(spk2utt, max(2, math.ceil(args.fraction * len(spk2utt))), args.seed)
        for out, wanted in ((args.train, False), (args.valid, True)):
            subset_data_dir(args.source, out, [utt for utt, spk in utt2spk.items() if (spk in held_out) == wanted])
            write_manifests(out)
        genders, sessions = (
            read_table(path) if path.exists() else {}
            for path in (args.valid / "spk2gender", args.valid / "utt2session")
        )
        trials = validation_trials(read_utt2spk(args.valid / "utt2spk"), genders, args.seed, sessions)
        write_trials(args.valid / "trials", trials)
    except (DataDirError, OSError) as error:
        sys.exit(f"split_validation.py: {error}")
    print(
        f"held out {len(held_out)} of {len(spk2utt)} speakers; {trials.is_target.sum()} target and "
        f"{(~trials.is_target).sum()} nontarget trials"
    )


if __name__ == "__main__":
    main()
