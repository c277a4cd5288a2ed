"""Find the speaker of a recording in a database of voices, or say that it is nobody of them.

sv identify --model campplus voices someone.wav
sv identify --model campplus voices someone.wav --threshold mine.json --top 3 --json

Prints the speakers with the highest scores. "Nobody" can be said only where scores mean something: with the model's own
calibration, one of sv calibrate fit, or a threshold of sv threshold, by the rule of sv verify.
"""

import argparse
import json
import sys
from pathlib import Path

from sv.base.config import to_dict
from sv.base.numbers import COUNT, PROBABILITY
from sv.bin.common import command_parser, fail_in_one_line
from sv.bin.options import decision_options, model_option, speech_options
from sv.embed.database import ranked, read_database
from sv.embed.opening import find_source, open_model
from sv.embed.verification import (
    LEAST,
    SAME,
    decide,
    embed_files,
    judge,
    read_own_calibration,
    read_threshold,
    warn_of_short,
)
from sv.scoring import OperatingPoint


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("identify", __doc__)
    model_option(parser)
    parser.add_argument("--top", type=COUNT, default=5, help="speakers to print (%(default)s)")
    parser.add_argument(
        "--p-target", type=PROBABILITY, default=0.05, help="prior probability of a speaker (%(default)s)"
    )
    decision_options(parser)
    speech_options(parser, LEAST)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("database", type=Path, metavar="DB", help="folder that sv enrol made")
    parser.add_argument("recording", type=Path, metavar="AUDIO", help="wav, flac, m4a, mp3, ogg")
    return parser.parse_args(argv)


@fail_in_one_line
def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print."""
    args = parse(argv)
    point, source = OperatingPoint(args.p_target), find_source(args.model)
    _, means = read_database(args.database, source)
    threshold = read_threshold(args.threshold, source) if args.threshold else None
    calibration = None if args.threshold else read_own_calibration(source, args.calibration)
    (vector,), seconds = embed_files(open_model(source).listening(args.vad, args.min_speech, LEAST), [args.recording])
    for line in warn_of_short([args.recording], seconds):
        print(line, file=sys.stderr)
    found = ranked(means, vector)
    verdicts = [
        judge(score, calibration, point) if threshold is None else decide(score, threshold) for _, score in found
    ]
    best = verdicts[0]
    who = None if best.decision is None else found[0][0] if best.decision == SAME else "nobody"
    if args.json:
        top = [{"speaker": speaker, **to_dict(one)} for (speaker, _), one in zip(found, verdicts)][: args.top]
        print(json.dumps({"decision": who, "speakers": top, "speech_seconds": seconds[0]}))
        return
    for (speaker, score), one in list(zip(found, verdicts))[: args.top]:
        print(f"{score:.4f}  {'' if one.llr is None else f'LLR {one.llr:.3f}  '}{speaker}")
    print(f"decision   {who or 'none: scores are uncalibrated'}")


if __name__ == "__main__":
    main()
