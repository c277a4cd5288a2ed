"""Parts of every command: parser, options of array jobs, errors in one line; no torch, for a fast start."""

import argparse
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from sv.base.numbers import COUNT, PROBABILITY

EXPECTED = (ValueError, KeyError, OSError)  # what our own checks raise: bad data, bad configuration, files


def command_parser(name: str, doc: str) -> argparse.ArgumentParser:
    """Make the parser of `sv NAME`, whose help is the module's docstring."""
    raw = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"sv {name}", description=doc, formatter_class=raw, allow_abbrev=False)


def allow_pipes_option(parser: argparse.ArgumentParser) -> None:
    """Add --allow-pipes, which utils/copy-feats and its kin have too."""
    parser.add_argument(
        "--allow-pipes", action="store_true", help="let a wav.scp without cuts run its commands in a shell"
    )


def job_options(parser: argparse.ArgumentParser) -> None:
    """Add --job and --num-jobs."""
    parser.add_argument("--job", type=COUNT, default=1, help="number of this job, from 1")
    parser.add_argument("--num-jobs", type=COUNT, default=1, help="jobs that share the work")


def calibration_parser(name: str, about: str, num_scores: int | str) -> argparse.ArgumentParser:
    """Make the parser of `sv calibrate` and `sv fuse`; the namespace that it parses has a `run` to call with it."""
    from sv.scoring.calibration_files import apply_file, fit_files

    parser = command_parser(name, about)
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit", help="learn the map on held-out trials", allow_abbrev=False)
    use = commands.add_parser("apply", help="turn scores into log-likelihood ratios", allow_abbrev=False)
    use.add_argument("calibration", type=Path, help="what fit wrote")
    for command in (fit, use):
        command.add_argument("trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
        command.add_argument("scores", type=Path, nargs=num_scores, help="score files, always in this order")
        command.add_argument(
            "--quality", action="append", default=[], metavar="NAME=FILE",
            help="duration, snr or norm of the utterances: a table of numbers, or an scp of embeddings for their norm",
        )  # fmt: skip
    fit.add_argument("--p-target", type=PROBABILITY, default=0.05, help="prior about which to be best (%(default)s)")
    fit.add_argument("--utt2spk", type=Path, help="how many speakers there are, so that few are trusted less")
    if num_scores == 1:
        fit.add_argument("--model", help="whose scores these are: sv verify refuses the file for other weights")
    fit.add_argument("out", type=Path, metavar="OUT.json")
    use.add_argument("out", type=Path, help="lines of <enrolment-utt> <test-utt> <log-likelihood ratio>")
    fit.set_defaults(checkpoint_sha256=None, run=lambda args: fit_files(
        args.trials, args.scores, args.out, qualities=args.quality, p_target=args.p_target, utt2spk=args.utt2spk,
        checkpoint_sha256=args.checkpoint_sha256,
    ))  # fmt: skip
    use.set_defaults(
        run=lambda args: apply_file(args.calibration, args.trials, args.scores, args.out, qualities=args.quality)
    )
    return parser


def fail_in_one_line(main: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the errors of our own checks into one line on stderr and exit code 1; others keep their traceback."""

    @wraps(main)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return main(*args, **kwargs)
        except EXPECTED as error:
            text = error.args[0] if isinstance(error, KeyError) else error
            sys.exit(f"error: {text}")

    return guarded
