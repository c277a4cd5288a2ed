"""Options of the commands that read a model."""

import argparse
from pathlib import Path

from sv.base.numbers import NOT_NEGATIVE
from sv.base.packages import RUNTIMES
from sv.models.precision import ASKED


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


def decision_options(parser: argparse.ArgumentParser) -> None:
    """Add --calibration and --threshold, of which one decides."""
    by = parser.add_mutually_exclusive_group()
    by.add_argument("--calibration", type=Path, help="file of sv calibrate fit, instead of the model's own")
    by.add_argument("--threshold", type=Path, help="file of sv threshold: decide by the score itself")
