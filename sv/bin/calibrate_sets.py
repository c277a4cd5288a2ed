"""Calibrate a system's scores of every condition on held-out speakers, and update its results.json (stage 7).

sv calibrate_sets --model exp/exu_net --held-out data/voxceleb1_valid data/voxceleb1_test ...
sv calibrate_sets --model exp/exu_net --stored data/voices_devkit    by what it was calibrated with before

For each <model>/scores/<held-out set>/<backend>.scores: writes <model>/calibration/<backend>.json, which `sv verify`
reads too, and <model>/scores/<set>/<backend>-calibrated.scores of every set.
"""

from argparse import Namespace
from pathlib import Path

from sv.base.layout import ModelFolder, parse_condition
from sv.base.numbers import SEED
from sv.bin.common import command_parser, fail_in_one_line
from sv.kaldi import read_trials, read_utt2spk, scores_of_trials, write_scores
from sv.kaldi.enrolment import read_enrolment, with_models
from sv.results.rows import CALIBRATED, Row, make_row, read_results, stamp_of, update_results
from sv.scoring.calibration_files import fit_folder, read_folder, refuse_shared_speakers


def known_row(rows: list[Row], set_name: str, backend: str) -> Row:
    """Find the row of results.json on the scores that are being calibrated."""
    test_set, condition, *_ = parse_condition(set_name)
    key = (test_set, condition, backend)
    found = [row for row in rows if (row["test_set"], row["condition"], row["backend"]) == key]
    if not found:
        raise ValueError(f"no row of {backend} on {set_name} in results.json; score the set first")
    return found[0]


def parse(argv: list[str] | None) -> Namespace:
    """Parse the command line."""
    parser = command_parser("calibrate_sets", __doc__)
    parser.add_argument("--model", type=Path, required=True, help="model folder with scores")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--held-out", type=Path, help="data directory to calibrate on; no test speaker in it")
    source.add_argument("--stored", action="store_true", help="apply the calibrations that the model folder has")
    parser.add_argument("--seed", type=SEED, default=0, help="of the run; also of the confidence intervals")
    parser.add_argument("data_dirs", type=Path, nargs="+", metavar="DATA_DIR", help="with trials and utt2spk")
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and calibrate."""
    args = parse(argv)
    model = ModelFolder(args.model)
    if args.held_out:
        for data_dir in args.data_dirs:
            refuse_shared_speakers(args.held_out, data_dir)
        fitted, trained_on = fit_folder(args.model, args.held_out), args.held_out.name
    else:
        fitted, trained_on = read_folder(args.model, args.data_dirs), "the model's held-out speakers"
    known, rows = read_results(model.results), []
    for data_dir in args.data_dirs:
        trials, utt2spk = read_trials(data_dir / "trials"), read_utt2spk(data_dir / "utt2spk")
        utt2spk = with_models(utt2spk, read_enrolment(data_dir, utt2spk))
        for backend, (calibration, digest) in fitted.items():
            llrs = calibration.llrs(scores_of_trials(model.scores(data_dir.name, backend), trials)[:, None])
            write_scores(model.scores(data_dir.name, f"{backend}{CALIBRATED}"), trials, llrs)
            raw, how = known_row(known, data_dir.name, backend), f"logistic regression on {trained_on} ({digest[:12]})"
            stamp = stamp_of(args.model, data_dir, args.seed, normalisation=raw["normalisation"], calibration=how)
            row = make_row(args.model.name, data_dir.name, f"{backend}{CALIBRATED}", trials, llrs, utt2spk, stamp)
            rows.append(row | {name: raw[name] for name in ("rules", "broken_rules") if name in raw})
    update_results(model.results, rows)


if __name__ == "__main__":
    main()
