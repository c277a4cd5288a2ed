"""Calibrate scores to log-likelihood ratios, on held-out trials.

sv calibrate fit data/voxceleb1_valid/trials valid/cosine.scores cosine.json
sv calibrate fit trials cosine.scores mine.json --model campplus      then: sv verify --calibration mine.json
sv calibrate apply cosine.json data/voxceleb1_test/trials test/cosine.scores test/cosine-calibrated.scores

`sv fuse` is the same for the scores of several systems. Qualities of the utterances may be added, the same in both:
--quality duration=data/voxceleb1_valid/utt2dur --quality snr=data/voxceleb1_valid/utt2snr --quality norm=xvector.scp
"""

from sv.bin.common import calibration_parser, fail_in_one_line


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and calibrate."""
    args = calibration_parser("calibrate", __doc__, num_scores=1).parse_args(argv)
    if args.command == "fit" and args.model:
        from sv.embed.opening import find_source  # reads torch, which the rest does without

        args.checkpoint_sha256 = find_source(args.model).sha256()
    args.run(args)


if __name__ == "__main__":
    main()
