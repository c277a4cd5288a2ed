"""Write the four lists that embedding enhancement trains and tests on.

sv make_enhancement_lists --seed 0 data/voxceleb1_train exp/lists/train

Writes OUT_{normal,triplet,distribution,test}_list.txt. The test list needs five utterances of every speaker; without them
it is left out, and said so.
"""

from pathlib import Path

from sv.base.numbers import SEED
from sv.bin.common import command_parser, fail_in_one_line
from sv.data.trial_lists import sessions_of, trial_list
from sv.enhancement.lists import distribution_list, normal_list, triplet_list, write_list
from sv.kaldi import DataDirError, read_table, read_utt2spk
from sv.kaldi.data_dir import quarantined


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and write the lists."""
    parser = command_parser("make_enhancement_lists", __doc__)
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument(
        "--utt2session", type=Path, help="lines of <utterance> <session>; default: the middle of the ids"
    )
    parser.add_argument("data_dir", type=Path, help="with utt2spk")
    parser.add_argument("out", help="what the lists' names start with")
    args = parser.parse_args(argv)
    left_out = quarantined(args.data_dir)
    utt2spk = {utt: spk for utt, spk in read_utt2spk(args.data_dir / "utt2spk").items() if utt not in left_out}
    sessions = read_table(args.utt2session, value="session") if args.utt2session else sessions_of(utt2spk)
    if missing := [utt for utt in utt2spk if utt not in sessions]:
        raise DataDirError(f"{args.utt2session}: {len(missing)} utterances have no session, e.g. {missing[:3]}")
    pairs, one_session = distribution_list(utt2spk, sessions, args.seed)
    lists = {"normal": normal_list(utt2spk), "triplet": triplet_list(utt2spk, args.seed), "distribution": pairs}
    if one_session:
        print(
            f"distribution: {len(one_session)} speakers have no pairs within and across sessions, e.g. {one_session[0]}"
        )
    try:
        lists["test"] = trial_list(utt2spk, args.seed)
    except DataDirError as error:
        print(f"test: left out: {error}")
    for kind, lines in lists.items():
        write_list(f"{args.out}_{kind}_list.txt", lines)
        print(f"{kind}: {len(lines)} lines")


if __name__ == "__main__":
    main()
