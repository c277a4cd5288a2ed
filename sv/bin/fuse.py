"""Fuse the scores of several systems into log-likelihood ratios, on held-out trials.

sv fuse fit data/voxceleb1_valid/trials a/valid.scores b/valid.scores fusion.json
sv fuse apply fusion.json data/voxceleb1_test/trials a/test.scores b/test.scores fused.scores
"""

from sv.bin.calibrate import parse, run
from sv.bin.common import fail_in_one_line


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and fuse."""
    run(parse("sv fuse", __doc__, True, argv))


if __name__ == "__main__":
    main()
