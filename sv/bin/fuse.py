"""Fuse the scores of several systems into log-likelihood ratios, on held-out trials.

sv fuse fit data/voxceleb1_valid/trials a/valid.scores b/valid.scores fusion.json
sv fuse apply fusion.json data/voxceleb1_test/trials a/test.scores b/test.scores fused.scores
"""

from sv.bin.calibration import calibration_parser
from sv.bin.common import fail_in_one_line


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and fuse."""
    parser = calibration_parser("fuse", __doc__, num_scores="+")
    args = parser.parse_args(argv)
    if len(args.scores) < 2:
        parser.error("fusion needs the scores of two systems or more; for one there is sv calibrate")
    args.run(args)


if __name__ == "__main__":
    main()
