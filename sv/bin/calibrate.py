"""Calibrate scores to log-likelihood ratios, on held-out trials.

sv calibrate fit data/voxceleb1_valid/trials valid/cosine.scores cosine.json
sv calibrate apply cosine.json data/voxceleb1_test/trials test/cosine.scores test/cosine-calibrated.scores

`sv fuse` is the same for the scores of several systems. Qualities of the utterances may be added, the same in both:
--quality duration=data/voxceleb1_valid/utt2dur --quality snr=data/voxceleb1_valid/utt2snr --quality norm=xvector.scp
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sv.base.files import sha256_of
from sv.bin.common import fail_in_one_line
from sv.kaldi import Trials, read_trials, read_utt2spk, read_vectors, scores_of_trials, write_scores
from sv.kaldi.scp import DataDirError, read_table
from sv.results.rows import speakers_of
from sv.scoring.calibration import LogisticCalibration, quality_inputs, read_calibration, write_calibration


def read_quality(path: Path) -> dict[str, float]:
    """A number of each utterance, from a table; of an scp, the norms of its vectors."""
    if path.suffix == ".scp":
        return {utt: float(np.linalg.norm(vector)) for utt, vector in read_vectors(path).items()}
    numbers = {}
    for line, (utt, text) in enumerate(read_table(path, value="number").items(), start=1):
        try:
            numbers[utt] = float(text)
        except ValueError as error:
            raise DataDirError(f"{path}:{line}: expected a number, got {text!r}") from error
    return numbers


def read_inputs(trials: Trials, scores: Sequence[Path], qualities: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Inputs of a calibration, (num_trials, num_inputs), and their names."""
    columns, names = [scores_of_trials(path, trials)[:, None] for path in scores], ["score"] * len(scores)
    for quality in qualities:
        name, _, path = quality.partition("=")
        columns.append(quality_inputs(name, read_quality(Path(path)), trials))
        names += [f"mean {name}", f"difference of {name}"]
    return np.hstack(columns), names


def parse(prog: str, about: str, several: bool, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line of `sv calibrate` and `sv fuse`."""
    parser = argparse.ArgumentParser(
        prog=prog, description=about, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit", help="learn the map on held-out trials", allow_abbrev=False)
    use = commands.add_parser("apply", help="turn scores into log-likelihood ratios", allow_abbrev=False)
    use.add_argument("calibration", type=Path, help="what fit wrote")
    for command in (fit, use):
        command.add_argument("trials", type=Path, help="lines of <enrolment-utt> <test-utt> target|nontarget")
        command.add_argument("scores", type=Path, nargs="+" if several else 1, help="score files, always in this order")
        command.add_argument(
            "--quality", action="append", default=[], metavar="NAME=FILE",
            help="duration, snr or norm of the utterances: a table of numbers, or an scp of embeddings for their norm",
        )  # fmt: skip
    fit.add_argument("--p-target", type=float, default=0.05, help="prior about which to be best (%(default)s)")
    fit.add_argument("--utt2spk", type=Path, help="how many speakers there are, so that few are trusted less")
    fit.add_argument("out", type=Path, metavar="OUT.json")
    use.add_argument("out", type=Path, help="lines of <enrolment-utt> <test-utt> <log-likelihood ratio>")
    args = parser.parse_args(argv)
    if several and len(args.scores) < 2:
        parser.error("fusion needs the scores of two systems or more; for one there is sv calibrate")
    return args


def run(args: argparse.Namespace) -> None:
    """Fit or apply."""
    trials = read_trials(args.trials)
    try:
        inputs, names = read_inputs(trials, args.scores, args.quality)
    except KeyError as error:
        raise ValueError(f"{args.trials}: {error.args[0]}") from error
    if args.command == "fit":
        num_speakers = len({*speakers_of(trials, read_utt2spk(args.utt2spk))[0].tolist()}) if args.utt2spk else None
        calibration = LogisticCalibration(args.p_target).fit(inputs, trials.is_target, num_speakers)
        write_calibration(args.out, calibration, names, sha256_of(args.trials))
        return
    calibration, record = read_calibration(args.calibration)
    if record["trials_sha256"] == sha256_of(args.trials):
        raise ValueError(f"{args.trials}: {args.calibration} was fitted on these trials; fit it on held-out ones")
    if record["inputs"] != names:
        raise ValueError(f"{args.calibration}: expects {', '.join(record['inputs'])}, got {', '.join(names)}")
    write_scores(args.out, trials, calibration.llrs(inputs))


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and calibrate."""
    run(parse("sv calibrate", __doc__, False, argv))


if __name__ == "__main__":
    main()
