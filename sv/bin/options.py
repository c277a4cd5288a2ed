"""Options of the commands that read a model or training data, and the objects that they describe."""

import argparse
from collections.abc import Callable
from pathlib import Path

from sv.base.numbers import NOT_NEGATIVE, SEED
from sv.data.augment import NoiseLibrary
from sv.data.dataset import TrainingSet, UtteranceIndex
from sv.embed.runtimes import RUNTIMES
from sv.models.precision import ASKED
from sv.system.config import SystemConfig
from sv.train import distributed
from sv.train.loop import NonFiniteError


def model_option(parser: argparse.ArgumentParser) -> None:
    """Add --model, which `sv.embed.opening.find_source` understands."""
    parser.add_argument(
        "--model", required=True, help="model folder, name of sv models list, published checkpoint, .onnx or .toml file"
    )


def computing_options(parser: argparse.ArgumentParser) -> None:
    """Add --precision and --runtime, for `sv.embed.opening.open_model`."""
    auto = "of multiplications; auto: bf16 if the processor has it (default: %(default)s)"
    parser.add_argument("--precision", choices=ASKED, default="float32", help=auto)
    parser.add_argument("--runtime", choices=RUNTIMES, help="what computes the network (default: the model's own)")


def speech_options(parser: argparse.ArgumentParser, least: float) -> None:
    """Add --vad and --min-speech, for `UtteranceEmbedder.listening` with the same `least`."""
    parser.add_argument(
        "--vad", choices=("silero", "none"), help="cut out what is no speech (by default as the model's [extract] says)"
    )
    own = "as the model's [extract] says" + (f", at least {least:g}" if least else "")
    parser.add_argument(
        "--min-speech", type=NOT_NEGATIVE, metavar="SECONDS",
        help=f"refuse recordings with less speech, or less audio without a detector (by default {own})",
    )  # fmt: skip


def data_options(parser: argparse.ArgumentParser) -> None:
    """Add --config, the training set, noise and responses to augment it with, and --seed."""
    parser.add_argument("--config", type=Path, required=True, help="TOML file of the system")
    parser.add_argument("--train-dir", type=Path, required=True, help="data directory to train on")
    parser.add_argument("--noise-dir", action="append", default=[], metavar="CATEGORY=DIR", help="noise to mix in")
    parser.add_argument("--rirs", type=Path, help="data directory of room responses; may be absent if none are used")
    parser.add_argument("--channels", type=Path, help="data directory of microphone responses")
    parser.add_argument("--seed", type=SEED, default=0)


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
    world = distributed.start()
    try:
        train(args, world)
    except NonFiniteError as error:
        raise SystemExit(f"error: {error}") from error
    finally:
        distributed.stop()
