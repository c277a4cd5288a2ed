#!/usr/bin/env python3
"""Noise types and their data directories, one for training and one for tests; prints those for training.

local/noises.py --noises noise,music,babble data      prints <type>=<data directory> lines, for `sv.bin.train --noise-dir`
local/noises.py --noises noise,street --own street data    with a noise of one's own
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Noise:
    """Data directories of a noise type; `train` is empty for one that is kept for tests."""

    train: str
    test: str


NOISES = {
    "noise": Noise("musan_noise_train", "musan_noise_test"),
    "music": Noise("musan_music_train", "musan_music_test"),
    "babble": Noise("musan_speech_train", "musan_speech_test"),
    "nonspeech": Noise("", "nonspeech100"),
    "demand": Noise("vctk_noise_train", "vctk_noise_test"),
}
TRAINING = tuple(name for name, noise in NOISES.items() if noise.train)


def own_noise(name: str) -> Noise:
    """Data directories of a noise of one's own, which local/own_noise.py makes."""
    return Noise(f"noise_{name}_train", f"noise_{name}_test")


def noise_types(text: str, known: tuple[str, ...] = tuple(NOISES)) -> list[str]:
    """Noise types separated by commas; raises ValueError, naming the option, if one is not known."""
    names = text.split(",") if text else []
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"--noises: unknown noise type {', '.join(unknown)}; known are {', '.join(known)}")
    return names


def check_any(names: list[str]) -> None:
    """Raise ValueError, naming the option, unless there is a noise type."""
    if not names:
        raise ValueError(
            f"--noises: names none, but noisy copies of one recording need one of {', '.join(TRAINING)}; "
            "--conditions chooses what the other test sets hear"
        )


def training_dirs(names: list[str], data: Path) -> dict[str, Path]:
    """Data directories of the noise types for training."""
    return {name: data / (NOISES.get(name) or own_noise(name)).train for name in names}


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--noises", default="noise,music,babble", help="of " + ",".join(TRAINING))
    parser.add_argument("--own", default="", help="names of one's own noises, see local/own_noise.py")
    parser.add_argument("--needed", action="store_true", help="refuse an empty --noises")
    parser.add_argument("data", type=Path, help="folder of data directories")
    args = parser.parse_args(argv)
    try:
        names = noise_types(args.noises, TRAINING + tuple(args.own.split(",") if args.own else ()))
        if args.needed:
            check_any(names)
    except ValueError as error:
        sys.stderr.write(f"noises.py: {error}\n")
        sys.exit(2)
    for name, folder in training_dirs(names, args.data).items():
        print(f"{name}={folder}")


if __name__ == "__main__":
    main()
