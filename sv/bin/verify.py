"""Compare two recordings: the same speaker, or two?

sv verify --model campplus a.wav b.wav                              after sv models get campplus
sv verify --model exp/exu_net --p-target 0.5 --json a.flac b.m4a
sv verify --model campplus --threshold mine.json a.wav b.wav        of sv threshold

Prints the cosine score; the log-likelihood ratio by the model's calibration (stage 7 makes it, or sv calibrate fit); and
the decision that costs least at the prior and costs given. Without a calibration the score is marked "uncalibrated", and
only --threshold decides. Recordings of any rate and number of channels are made 16 kHz mono. One without speech is
warned of; --vad silero refuses it.
"""

import argparse
import json
import sys
from pathlib import Path

from sv.base.config import to_dict
from sv.base.numbers import POSITIVE, PROBABILITY
from sv.bin.common import command_parser, fail_in_one_line
from sv.bin.options import computing_options, decision_options, model_option, speech_options
from sv.embed.opening import find_source, open_model
from sv.embed.verification import (
    LEAST,
    cosine,
    decide,
    embed_files,
    judge,
    read_own_calibration,
    read_threshold,
    verdict_lines,
    warn_of_short,
)
from sv.scoring import OperatingPoint


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("verify", __doc__)
    model_option(parser)
    parser.add_argument(
        "--p-target", type=PROBABILITY, default=0.05, help="prior probability of one speaker (%(default)s)"
    )
    parser.add_argument("--c-miss", type=POSITIVE, default=1.0, help="cost of rejecting one speaker (%(default)s)")
    parser.add_argument("--c-fa", type=POSITIVE, default=1.0, help="cost of accepting two speakers (%(default)s)")
    decision_options(parser)
    computing_options(parser)
    speech_options(parser, LEAST)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("recordings", type=Path, nargs=2, metavar="AUDIO", help="wav, flac, m4a, mp3, ogg")
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print."""
    args = parse(argv)
    point, source = OperatingPoint(args.p_target, args.c_miss, args.c_fa), find_source(args.model)
    threshold = read_threshold(args.threshold, source) if args.threshold else None
    calibration = None if args.threshold else read_own_calibration(source, args.calibration)
    embedder = open_model(source, precision=args.precision, runtime=args.runtime).listening(
        args.vad, args.min_speech, LEAST
    )
    vectors, seconds = embed_files(embedder, args.recordings)
    for line in warn_of_short(args.recordings, seconds):
        print(line, file=sys.stderr)
    score = cosine(*vectors)
    found = judge(score, calibration, point) if threshold is None else decide(score, threshold)
    if args.json:
        print(json.dumps({**to_dict(found), "speech_seconds": seconds}))
        return
    print(*verdict_lines(found), sep="\n")


if __name__ == "__main__":
    main()
