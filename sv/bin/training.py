"""Options of the commands that read training data, and the objects that they describe."""

import argparse
from collections.abc import Callable
from pathlib import Path

from sv.base.numbers import COUNT, SEED
from sv.base.packages import require
from sv.data.augment import NoiseLibrary
from sv.data.dataset import TrainingSet, UtteranceIndex
from sv.system.config import SystemConfig
from sv.system.probe import probe_training
from sv.system.run import TrainingData, train_system
from sv.train import distributed
from sv.train.loop import NonFiniteError


def data_options(parser: argparse.ArgumentParser) -> None:
    """Add --config, the training set, noise and responses to augment it with, and --seed."""
    parser.add_argument("--config", type=Path, required=True, help="TOML file of the system")
    parser.add_argument("--train-dir", type=Path, required=True, help="data directory to train on")
    parser.add_argument("--noise-dir", action="append", default=[], metavar="CATEGORY=DIR", help="noise to mix in")
    parser.add_argument("--rirs", type=Path, help="data directory of room responses; may be absent if none are used")
    parser.add_argument("--channels", type=Path, help="data directory of microphone responses")
    parser.add_argument("--seed", type=SEED, default=0)


def probe_option(parser: argparse.ArgumentParser) -> None:
    """Add --probe."""
    text = "train so many steps, keep nothing, and say what all of the training takes"
    parser.add_argument("--probe", type=COUNT, metavar="STEPS", help=text)


def run_training(args: argparse.Namespace, system: SystemConfig, data: TrainingData, world: distributed.World) -> None:
    """Train a system into `args.exp_dir`, or, with --probe, say what that takes."""
    if not args.probe:
        train_system(system, data, args.exp_dir, world)
        return
    said = probe_training(system, data, args.probe, world)
    if world.is_main:
        print(f"probe: {said}")


def augmentation_dirs(args: argparse.Namespace) -> list[str]:
    """Data directories of the noise, rooms and microphones that `data_options` name."""
    noises = [item.split("=", 1)[1] for item in args.noise_dir]
    return [*noises, *(str(path) for path in (args.rirs, args.channels) if path)]


def noise_library(args: argparse.Namespace) -> NoiseLibrary:
    """Make the library of noise, rooms and microphones that `data_options` name."""
    rirs = args.rirs if args.rirs and args.rirs.is_dir() else None
    return NoiseLibrary(dict(item.split("=", 1) for item in args.noise_dir), rirs, args.channels)


def make_training_set(args: argparse.Namespace, system: SystemConfig) -> TrainingSet:
    """Make the training set that `data_options` name."""
    noise = noise_library(args)
    return TrainingSet(UtteranceIndex(args.train_dir), system.train.crop_samples, system.augment, noise, args.seed)


def on_all_ranks(train: Callable[[argparse.Namespace, distributed.World], None], args: argparse.Namespace) -> None:
    """Run `train` as one of the processes that share a training, or alone; a loss that is not finite exits with 1."""
    require("training", "recipes", "tensorboard")  # before data are read for minutes
    world = distributed.start()
    try:
        train(args, world)
    except NonFiniteError as error:
        raise SystemExit(f"error: {error}") from error
    finally:
        distributed.stop()
