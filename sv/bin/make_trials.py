"""A trial list drawn from the speakers of a Kaldi data directory.

sv make-trials data/mine data/mine/trials
sv make-trials --max-targets 2000 --max-nontargets 20000 --seed 1 data/mine trials

Reads utt2spk and, where they are, utt2session and spk2gender: targets are of two sessions, nontargets of one sex, an even
share of every speaker where there are more than wanted. Quarantined utterances are left out. The same seed and speakers give
the same trials.
"""

from pathlib import Path

from sv.base.numbers import COUNT, SEED
from sv.bin.common import command_parser, fail_in_one_line
from sv.data.trial_lists import draw_trials
from sv.kaldi import DataDirError, read_table, read_utt2spk
from sv.kaldi.data_dir import quarantined
from sv.kaldi.trials import write_trials


def table_of(path: Path) -> dict[str, str]:
    """A table that need not be there."""
    return read_table(path) if path.exists() else {}


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line, draw and write."""
    parser = command_parser("make-trials", __doc__)
    parser.add_argument("--max-targets", type=COUNT, default=10_000, help="target trials at most (%(default)s)")
    parser.add_argument("--max-nontargets", type=COUNT, default=30_000, help="nontarget trials at most (%(default)s)")
    parser.add_argument("--seed", type=SEED, default=0, help="of the draw (%(default)s)")
    parser.add_argument("data_dir", type=Path, help="with utt2spk, perhaps utt2session and spk2gender")
    parser.add_argument("out", type=Path, help="gets lines of <enrolment-utt> <test-utt> target|nontarget")
    args = parser.parse_args(argv)
    left_out, utt2spk = quarantined(args.data_dir), read_utt2spk(args.data_dir / "utt2spk")
    utt2spk = {utt: speaker for utt, speaker in utt2spk.items() if utt not in left_out}
    sessions, genders = table_of(args.data_dir / "utt2session"), table_of(args.data_dir / "spk2gender")
    limits = {"max_targets": args.max_targets, "max_nontargets": args.max_nontargets}
    try:
        trials, notes = draw_trials(utt2spk, sessions, genders, seed=args.seed, **limits)
    except DataDirError as error:
        raise DataDirError(f"{args.data_dir}: {error}") from error
    write_trials(args.out, trials)
    for note in notes:
        print(f"{args.data_dir}: {note}")
    targets = int(trials.is_target.sum())
    print(
        f"{args.out}: {targets} target and {len(trials) - targets} nontarget trials of {len(utt2spk)} utterances, "
        f"{len(set(utt2spk.values()))} speakers"
    )


if __name__ == "__main__":
    main()
